"""Recipes: every hyper-parameter once, as data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from model.card import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ClassName,
    Deviations,
    Head,
    Interpolation,
    Preprocessing,
    Triple,
)
from model.kinds import KindName
from training.errors import RecipeError

_MIN_SIZE = 32  # pixels

Probability = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Stage(_Settings):
    """A stretch of epochs at one image size; small images first is "progressive resizing".

    Fields that are None are as in the recipe. A stage with a learning rate or a plateau of its own starts with a new
    optimiser.
    """

    epochs: int = Field(ge=1, le=10_000, description="At most, if stopped early.")
    image_size: int = Field(ge=_MIN_SIZE, le=1024, description="Height and width of the inputs, pixels.")
    trained_layers: int | None = Field(None, ge=0, description="Last layers of the backbone that learn; None: all.")
    learning_rate: float | None = Field(None, gt=0, le=1)
    plateau_factor: float | None = Field(None, gt=0, lt=1)
    plateau_patience: int | None = Field(None, ge=0)
    early_stopping_patience: int | None = Field(None, ge=0)

    @property
    def has_own_schedule(self) -> bool:
        """Whether it starts with a new optimiser."""
        return (self.learning_rate, self.plateau_factor, self.plateau_patience) != (None, None, None)


@dataclass(frozen=True)
class StageSchedule:
    """Start and fall of a stage's learning rate, and its early stopping."""

    learning_rate: float
    plateau_factor: float
    plateau_patience: int
    early_stopping_patience: int


class Augmentation(_Settings):
    """Random changes that leave the diagnosis unchanged; 0 switches one off."""

    horizontal_flip: Probability = Field(0.0, description="Probability of mirroring left-right.")
    vertical_flip: Probability = Field(0.0, description="Probability of mirroring top-bottom.")
    rotation: float = Field(0.0, ge=0, le=180, description="Largest angle to either side, degrees.")
    translation: float = Field(0.0, ge=0, lt=1, description="Largest shift, part of the side.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Sides are scaled by 1 - zoom to 1 + zoom.")
    aspect: float = Field(0.0, ge=0, lt=0.5, description="Each side is scaled by a further 1 - it to 1 + it.")
    shear: float = Field(0.0, ge=0, lt=90, description="Largest angle to either side, degrees.")
    crop: float = Field(0.0, ge=0, lt=1, description="Random crop: 1 - it to 1 of the area, sides 3:4 to 4:3.")
    brightness: float = Field(0.0, ge=0, lt=1, description="Values rise or fall by up to it, part of their mean.")
    contrast: float = Field(0.0, ge=0, lt=1, description="Distance from the mean is multiplied by 1 - it to 1 + it.")
    gamma: float = Field(0.0, ge=0, le=4, description="Exponent of the values is 1 / (1 + it) to 1 + it.")
    remap: Probability = Field(0.0, description="Probability of another sequence: a random curve of grey values.")
    bias_field: Probability = Field(0.0, description="Probability of a coil's uneven sensitivity.")
    noise: Probability = Field(0.0, description="Probability of Rician noise.")
    noise_strength: float = Field(0.06, ge=0.01, le=0.5, description="Largest sigma, part of full scale; least 0.01.")
    low_resolution: Probability = Field(0.0, description="Probability of losing resolution, to 35 to 90 % of it.")
    blur: Probability = Field(0.0, description="Probability of a Gaussian blur, sigma 0.3 to 1.5 pixels.")
    erasing: Probability = Field(0.0, description="Probability of blanking 2 to 20 % of the area.")


class Recipe(_Settings):
    """Everything that decides, together with the data, which weights come out."""

    name: str = Field(pattern=r"^\w+$", max_length=100)
    architecture: str = Field("efficientnet_b0", description="A timm name, compact_cnn or binary_cnn.")
    pretrained: bool = Field(True, description="Start from timm's ImageNet weights.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before the classifier.")
    hidden_units: int = Field(0, ge=0, le=65_536, description="Of a hidden layer in the classifier; 0: there is none.")
    hidden_batch_norm: bool = Field(False, description="Whether the hidden layer is normalised.")
    hidden_dropout: float = Field(0.0, ge=0, lt=1, description="After the hidden layer.")
    output: Literal["softmax", "sigmoid"] = Field("softmax", description="sigmoid: a single output for two classes.")
    class_map: dict[ClassName, ClassName] = Field({}, description="Classes to learn instead of those of the folders.")
    drop_path: float = Field(0.0, ge=0, lt=1, description="Stochastic depth, of the last block.")
    teacher: tuple[str, ...] = Field((), description="Checkpoints to distil from: one file or several.")
    start_from_teacher: bool = Field(False, description="Copy what fits of the first teacher's weights.")
    distillation_weight: float = Field(0.9, ge=0, le=1, description="Of the teacher's probabilities, against labels.")
    distillation_temperature: float = Field(2.0, gt=0, le=100)
    feature_weight: float = Field(0.0, ge=0, le=100, description="Of the teacher's features, beside the logits.")
    feature_layers: tuple[str, ...] = Field((), description="Whose outputs are compared too, in both networks.")
    location_weight: float = Field(0.0, ge=0, le=100, description="Of the tumours' boxes, where a table is given.")
    kind_weight: float = Field(0.0, ge=0, le=100, description="Of the kind of picture, see model.kinds.")
    class_kinds: dict[ClassName, KindName] = Field({}, description="The kind of a class's scans; of others, either MR.")
    gradcam_layer: str = Field("blocks.-1.-1.conv_pw", description="The layer that heat maps explain.")
    color: Literal["grey", "rgb"] = Field("grey", description="What the network sees of the colours.")
    interpolation: Interpolation = Field("bilinear", description="How images are scaled, see model.card.")
    mean: Triple = Field(IMAGENET_MEAN, description="Of the channels, of values in [0, 1].")
    std: Deviations = Field(IMAGENET_STD, description="Of the channels, of values in [0, 1].")
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = (Stage(epochs=15, image_size=224),)
    batch_size: int = Field(32, ge=2, le=4096)
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="adam: the weight decay is an L2 penalty.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Before the schedule.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Of kernels, not of biases and norms.")
    max_gradient_norm: float | None = Field(None, gt=0, description="Longer gradients are shortened to it.")
    average_decay: float = Field(0.0, ge=0, lt=1, description="Of the running average of weights; 0: there is none.")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    schedule: Literal["reduce_on_plateau", "cosine", "constant"] = "reduce_on_plateau"
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="The rate is multiplied by it on a plateau.")
    plateau_patience: int = Field(2, ge=0, description="Epochs without a lower validation loss before that.")
    early_stopping_patience: int = Field(0, ge=0, description="Epochs on a plateau that end a stage; 0: none do.")
    warmup_epochs: float = Field(0.0, ge=0, description="Of the cosine schedule: linear rise from 0.")
    augmentation: Augmentation = Augmentation()
    mixed_precision: bool = Field(True, description="On a GPU: bfloat16, or float16 with loss scaling.")
    cpu_bfloat16: Literal["never", "teachers", "always"] = Field(
        "never", description="Likewise on a CPU that has AVX512-BF16."
    )
    learn_validation: bool = Field(False, description="Train on the validation part too, and keep the last epoch.")
    seed: int = Field(0, ge=0, lt=2**31)

    @field_validator("teacher", mode="before")
    @classmethod
    def _take_one_for_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        stops_early = any(self.schedule_of(stage).early_stopping_patience for stage in self.stages)
        if self.schedule == "cosine" and (stops_early or any(stage.has_own_schedule for stage in self.stages)):
            raise ValueError("a cosine runs over all stages to its end: give them no schedule and no early stopping")
        if self.learn_validation and (self.schedule == "reduce_on_plateau" or stops_early):
            raise ValueError("learn_validation leaves no loss to wait for: take a cosine, and no early stopping")
        if self.location_weight and self.hidden_units:
            raise ValueError("location_weight needs a classifier without hidden_units")
        return self

    @property
    def num_epochs(self) -> int:
        """Epochs of all stages together, if none is stopped early."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def head(self) -> Head:
        """Design of the classifier."""
        return Head(hidden_units=self.hidden_units, batch_norm=self.hidden_batch_norm, output=self.output)

    def schedule_of(self, stage: Stage) -> StageSchedule:
        """Fill a stage's schedule from the recipe."""
        names = ("learning_rate", "plateau_factor", "plateau_patience", "early_stopping_patience")
        own = {name: getattr(stage, name) for name in names}
        return StageSchedule(**{name: getattr(self, name) if own[name] is None else own[name] for name in names})

    def preprocessing(self, stage: Stage | None = None) -> Preprocessing:
        """Describe the inputs of a stage, by default of the last: what the finished network expects."""
        size = (stage or self.stages[-1]).image_size
        return Preprocessing(
            input_size=size, interpolation=self.interpolation, color=self.color, mean=self.mean, std=self.std
        )


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Change values of a recipe by their names; those of the augmentation by "augmentation.FIELD".

    Beside them, `epochs` is the number over all stages: what is more lengthens the last stage, what is less shortens
    all of them; `image_size` is that of the last stage, to which those of the others keep their proportion.

    Raises:
        RecipeError: If a value is unknown or out of its bounds.
    """
    fields: dict[str, Any] = recipe.model_dump()
    for key, value in changes.items():
        section, _, field = key.rpartition(".")
        (fields.setdefault(section, {}) if section else fields)[field] = value
    epochs, image_size = (_pop_number(fields, name) for name in ("epochs", "image_size"))
    stages = parse_recipe(fields).stages
    if epochs is not None:
        stages = _spread_epochs(stages, epochs)
    if image_size is not None:
        sizes = [max(_MIN_SIZE, round(stage.image_size * image_size / stages[-1].image_size)) for stage in stages]
        sizes[-1] = image_size
        stages = tuple(stage.model_copy(update={"image_size": size}) for stage, size in zip(stages, sizes, strict=True))
    return parse_recipe({**fields, "stages": [stage.model_dump() for stage in stages]})


def _pop_number(fields: dict[str, Any], name: str) -> int | None:
    value = fields.pop(name, None)
    if value is not None and type(value) is not int:
        raise RecipeError(f"recipe value {name}: expected a whole number; found {value!r}")
    return value


def _spread_epochs(stages: tuple[Stage, ...], total: int) -> tuple[Stage, ...]:
    before = sum(stage.epochs for stage in stages)
    if total < len(stages):
        raise RecipeError(f"epochs: expected at least {len(stages)}, one for each stage; found {total}")
    counts = [stage.epochs for stage in stages]
    if total >= before:
        counts[-1] += total - before
    else:  # one for each, and of the others a share
        ends = accumulate((count - 1 for count in counts), initial=0)
        shares = [round(end * (total - len(stages)) / (before - len(stages))) for end in ends]
        counts = [1 + after - start for start, after in pairwise(shares)]
    return tuple(stage.model_copy(update={"epochs": count}) for stage, count in zip(stages, counts, strict=True))


def parse_recipe(fields: object) -> Recipe:
    """Check a recipe read from a file.

    Raises:
        RecipeError: If a value is missing, unknown or out of its bounds; the message names the nearest right name.
    """
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        field = ".".join(str(part) for part in first["loc"])
        if not field:  # values that do not go together; what was found is the whole recipe
            raise RecipeError(f"recipe: {first['msg'].removeprefix('Value error, ')}") from error
        if first["type"] == "extra_forbidden":
            parts: dict[str, type[_Settings]] = {"stages": Stage, "augmentation": Augmentation}
            settings = parts.get(str(first["loc"][0]), Recipe)
            near = suggest(str(first["loc"][-1]), settings.model_fields)
            raise RecipeError(f"recipe value {field}: there is none of this name{near}") from error
        raise RecipeError(f"recipe value {field}: {first['msg']}; found {first['input']!r}") from error


def suggest(name: str, names: Iterable[str]) -> str:
    """Write the nearest of the right names as the end of a message, if one is near."""
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
