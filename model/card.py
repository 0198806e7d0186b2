"""The card: what travels with the weights, so that no code has to know it."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import CheckpointError

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w. +-]+$")]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class _Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Preprocessing(_Record):
    """How an image becomes the network's inputs."""

    input_size: int = Field(224, ge=32, le=1024, description="Height and width of the inputs, pixels.")
    resize: Literal["stretch"] = Field(
        "stretch", description="Both sides scaled to `input_size`, aspect ratio not kept."
    )
    interpolation: Literal["bilinear"] = Field(
        "bilinear", description="Triangle filter whose support grows with the reduction (antialiased)."
    )
    color: Literal["grey", "rgb"] = Field(
        "grey", description="`grey`: ITU-R 601 luma in all three channels; `rgb`: colours kept."
    )
    mean: Triple = Field(IMAGENET_MEAN, description="Per channel, of values in [0, 1].")
    std: Triple = Field(IMAGENET_STD, description="Per channel, of values in [0, 1].")

    @model_validator(mode="after")
    def _check_std(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self


class Interval(_Record):
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class SplitMetrics(BaseModel):
    """What was measured on one split: one `Interval` a metric, and on how much data."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Interval]

    images: int = Field(ge=0)
    groups: int | None = Field(None, ge=0, description="None where nobody knows which images belong together.")


class ModelCard(_Record):
    """Everything a user of the weights has to know and cannot read from them."""

    name: Name
    version: Name
    architecture: Name = Field(description="The name by which `model.network` makes the network.")
    classes: Annotated[tuple[Name, ...], Field(min_length=2, max_length=1000)] = Field(
        description="In the order of the logits."
    )
    preprocessing: Preprocessing
    gradcam_layer: str = Field(
        max_length=200, description="Path of the module explained; -1 counts from the end, as in Python."
    )
    temperature: float = Field(1.0, gt=0, le=100, description="Logits are divided by it before the softmax.")
    self_test_logits: tuple[float, ...] = Field(
        description="The logits for `model.preprocessing.self_test_image`, as the trainer computed them."
    )
    metrics: dict[Name, SplitMetrics] = {}
    training: dict[str, Any] = Field({}, description="Recipe, data manifest hash, epochs, library versions.")
    intended_use: str = Field(
        "Research only. Not a medical device: not for diagnosis, triage or treatment decisions.", max_length=2000
    )

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")
        if len(self.self_test_logits) != len(self.classes):
            raise ValueError("self_test_logits must hold one value a class")
        return self


def parse_card(fields: object) -> ModelCard:
    """Check a card read from a file.

    Raises:
        CheckpointError: If a field is missing, unknown or out of its bounds; the message names the first.
    """
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "card"
        raise CheckpointError(f"its card is not valid: {field}: {first['msg']}") from error
