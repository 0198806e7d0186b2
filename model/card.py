"""The card: facts that travel with the weights, and so are not in code."""

import base64
import binascii
import math
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from model.errors import CheckpointError
from model.kinds import KINDS

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w. +-]+$")]  # may be part of an address
ClassName = Annotated[str, Field(min_length=1, max_length=255)]  # as a folder may be called
Triple = tuple[float, float, float]
Deviations = tuple[PositiveFloat, PositiveFloat, PositiveFloat]

CalibrationPart = Literal["temperature", "conformal", "outlier_detector", "outlier_percentile", "review"]
_CALIBRATION: dict[CalibrationPart, str] = {
    "temperature": "calibrated probabilities",
    "conformal": "prediction sets",
    "outlier_detector": "a check for outliers",
    "outlier_percentile": "an outlier threshold that 99 of 100 familiar scans keep",
    "review": "thresholds for review",
}
_FIELDS: tuple[CalibrationPart, ...] = ("conformal", "outlier_detector", "review")  # None where they are lacking

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class _Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Interpolation = Literal["bilinear", "reduced_bilinear"]


class Preprocessing(_Record):
    """Resizing, colours and normalisation from an image to the network's inputs."""

    input_size: int = Field(224, ge=32, le=1024, description="Height and width of the inputs, pixels.")
    resize: Literal["stretch"] = Field(
        "stretch", description="Both sides scaled to `input_size`, aspect ratio not kept."
    )
    interpolation: Interpolation = Field(
        "bilinear",
        description="`bilinear`: triangle filter whose support grows with the reduction (antialiased); "
        "`reduced_bilinear`: means of whole blocks of pixels first, as large as they can be, in half the time.",
    )
    color: Literal["grey", "rgb"] = Field(
        "grey", description="`grey`: ITU-R 601 luma in all three channels; `rgb`: colours kept."
    )
    mean: Triple = Field(IMAGENET_MEAN, description="Per channel, of values in [0, 1].")
    std: Deviations = Field(IMAGENET_STD, description="Per channel, of values in [0, 1].")


class Interval(_Record):
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class SplitMetrics(BaseModel):
    """Metrics of one split, an `Interval` each, and the number of images."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Interval]

    images: int = Field(ge=0)
    groups: int | None = Field(None, ge=0, description="None if it is unknown which images belong together.")


class PackedArray(_Record):
    """A compact array: float16, little-endian, row by row, base64."""

    shape: tuple[Annotated[int, Field(gt=0, le=100_000)], ...]
    float16: str = Field(max_length=4_000_000, repr=False)

    @classmethod
    def encode(cls, values: npt.NDArray[np.floating]) -> Self:
        """Round `values` to float16."""
        return cls(shape=values.shape, float16=base64.b64encode(values.astype("<f2").tobytes()).decode("ascii"))

    def decode(self) -> npt.NDArray[np.float64]:
        """Unpack to a type that is wide enough to compute with."""
        return np.frombuffer(base64.b64decode(self.float16), "<f2").reshape(self.shape).astype(np.float64)

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        try:
            data = base64.b64decode(self.float16, validate=True)
        except binascii.Error as error:
            raise ValueError("float16 must be base64") from error
        if len(data) != 2 * math.prod(self.shape):
            raise ValueError("float16 must hold as many numbers as shape")
        if not np.isfinite(np.frombuffer(data, "<f2")).all():
            raise ValueError("float16 must hold finite numbers")
        return self


class Region(_Record):
    """The region of the training data among vectors of D values; see `model.reliability.reliability`."""

    mean: PackedArray = Field(description="(D,), subtracted first.")
    scale: PackedArray = Field(description="(D,), multiplied by afterwards.")
    components: PackedArray = Field(description="(D, k), orthonormal: the directions of largest variance.")
    centres: PackedArray = Field(description="(M, k), in the coordinates of the components.")
    limit: float = Field(gt=0, description="Squared distance of score 1.")

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        size, rank = self.mean.shape[0], self.centres.shape[-1]
        if self.scale.shape != (size,) or self.components.shape != (size, rank) or len(self.centres.shape) != 2:
            raise ValueError("mean, scale, components and centres must have the shapes (D,), (D,), (D, k) and (M, k)")
        return self


class OutlierThreshold(_Record):
    """The score above which an image is unlike the training data."""

    method: Literal["nearest_centre_and_residual"] = "nearest_centre_and_residual"
    threshold: float = Field(gt=0, description="An image with a larger score is an outlier.")
    percentile: float = Field(gt=0, le=100, description="Of unseen scans' scores; the threshold is its upper limit.")


class OutlierDetector(OutlierThreshold):
    """The threshold, with the arrays from which scores are computed."""

    features: Region = Field(description="Of the classifier's inputs, scaled to length 1.")
    appearance: Region = Field(description="Of `model.reliability.appearance`.")


class KindRule(_Record):
    """Thresholds on the probability of a kind of picture; see `model.kinds`."""

    not_head_mr: float = Field(gt=0, le=1, description="An image above it is an outlier.")
    other_mr: float = Field(ge=0, le=1, description="Types of tumours are not told apart on a scan above it.")
    tumor_probability: float = Field(
        ge=0, le=1, description="Of a scan above `other_mr` that is called healthy: to be considered if it is exceeded."
    )
    set_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of a scan above `other_mr` the prediction set holds the healthy class, and all others together, "
        "where 1 - p <= it; None: nothing is promised of such sets.",
    )


class KindHead(KindRule):
    """The thresholds, with the logistic regression that the probabilities come from."""

    weights: PackedArray = Field(description="(3, D), of the features.")
    bias: Triple

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if len(self.weights.shape) != 2 or self.weights.shape[0] != len(KINDS):
            raise ValueError("weights must have the shape (3, D)")
        return self


class ConformalSets(_Record):
    """Prediction sets of the classes with 1 - p <= threshold, and of the most probable one."""

    level: float = Field(0.95, gt=0, lt=1, description="Fraction of scans whose set contains the true class.")
    threshold: float = Field(ge=0, le=1)


class ReviewThresholds(_Record):
    """Thresholds for the review of an image by a person."""

    required_confidence: float = Field(0.80, ge=0, le=1, description="Required below it.")
    consider_confidence: float = Field(0.90, ge=0, le=1, description="To be considered below it.")
    healthy_class: ClassName | None = Field(None, description="The class of scans without a tumour, if there is one.")
    tumor_probability: float = Field(
        0.02, ge=0, le=1, description="To be considered if the healthy class is predicted and the tumours exceed this."
    )


class Shortfall(_Record):
    """Images that a part of the calibration had, and would have needed, beside those that were trained on."""

    found: int = Field(ge=0)
    needed: int = Field(gt=0)


class Head(_Record):
    """Design of the layers between the features and the logits."""

    hidden_units: int = Field(0, ge=0, le=65_536, description="Of a hidden layer with ReLU; 0 for none.")
    batch_norm: bool = Field(False, description="True if the hidden layer is normalised.")
    output: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="An output for each class, or a single one for two classes: the second's probability."
    )


class PublicCard(_Record):
    """Facts about the weights that a user needs and cannot read from them."""

    name: Name
    version: Name
    architecture: Name = Field(description="The name of the network in `model.networks.network`.")
    head: Head = Head()
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=1000)] = Field(
        description="In the order of the logits."
    )
    class_map: dict[ClassName, ClassName] = Field(
        {}, description="From the classes of the training data to these; empty if they are the same."
    )
    preprocessing: Preprocessing
    gradcam_layer: str = Field(
        max_length=200, description="Path of the explained module; -1 counts from the end, as in Python."
    )
    temperature: float = Field(1.0, gt=0, le=100, description="Logits are divided by it before the softmax.")
    conformal: ConformalSets | None = Field(None, description="Parameters of the prediction sets.")
    outlier_detector: OutlierThreshold | None = None
    kinds: KindRule | None = Field(None, description="Null: the weights do not know the kind of a picture.")
    review: ReviewThresholds | None = None
    shortfalls: dict[CalibrationPart, Shortfall] = Field({}, description="Calibration for which images were too few.")
    metrics: dict[Name, SplitMetrics] = {}
    training: dict[str, Any] = Field({}, description="Recipe, data manifest hash, epochs, library versions.")
    intended_use: str = Field(
        "Research only. Not a medical device: not for diagnosis, triage or treatment decisions.", max_length=2000
    )

    def list_gaps(self) -> list[str]:
        """Say in words what weights lack that are calibrated and measured in full."""
        gaps = [
            f"{words}: {shortfall.found} images were left for it, it takes {shortfall.needed}"
            for part, words in _CALIBRATION.items()
            if (shortfall := self.shortfalls.get(part))
        ]
        absent = [part for part in _FIELDS if getattr(self, part) is None and part not in self.shortfalls]
        gaps += [f"{_CALIBRATION[part]}: they were not calibrated for it" for part in absent]
        return gaps if self.metrics else [*gaps, "metrics: they were measured on no test scans"]


class ModelCard(PublicCard):
    """The public card, with the numbers that only code needs."""

    outlier_detector: OutlierDetector | None = None
    kinds: KindHead | None = None
    self_test_logits: tuple[float, ...] = Field(
        description="Of `model.preprocessing.self_test_image`, computed at the end of training."
    )

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names must differ")
        if not set(self.class_map.values()) <= set(self.classes):
            raise ValueError("class_map must map to the classes")
        if len(self.self_test_logits) != len(self.classes):
            raise ValueError("self_test_logits must hold one value for each class")
        return self

    def describe(self) -> dict[str, Any]:
        """Show the card's public part as plain types."""
        arrays = {"features", "appearance"}
        hidden: dict[str, Any] = {"self_test_logits": True, "outlier_detector": arrays, "kinds": {"weights", "bias"}}
        return self.model_dump(mode="json", exclude=hidden)


def parse_card(fields: object) -> ModelCard:
    """Validate a card from a file.

    Raises:
        CheckpointError: If a field is missing, unknown or out of its bounds; the message names the first.
    """
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "card"
        raise CheckpointError(f"its card is invalid: {field}: {first['msg']}") from error
