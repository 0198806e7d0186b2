"""The result of a prediction, once: the service's JSON, its OpenAPI document and the commands' rows are made of it."""

import dataclasses

from pydantic import Field
from pydantic.dataclasses import dataclass

from model.images.decoded import FloatArray
from model.reliability.input_kind import InputKind
from model.reliability.reliability import OutlierScore, Review


@dataclass(frozen=True, kw_only=True)
class InputReport:
    """The image as it arrived."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(description="Of the upright image, pixels.")
    height: int = Field(description="Of the upright image, pixels.")
    warnings: tuple[str, ...] = Field(
        description="Changes to the pixels that the sender may not expect, and facts of a DICOM header that speak "
        "against classifying the image."
    )
    frame: int | None = Field(description="The frame of a DICOM file, from 1; null for other formats.")
    num_frames: int | None = Field(description="How many frames the DICOM file has.")
    kind: InputKind | None = Field(
        description="What kind of picture it is; types of tumours were learnt on `contrast_t1` alone. Null if the "
        "weights cannot tell."
    )


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """The weights."""

    name: str = Field(examples=["efficientnet_b0"])
    version: str = Field(examples=["3.1.0"])
    sha256: str = Field(description="Of the checkpoint the weights come from.")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds spent on the parts of one prediction."""

    decode: float
    inference: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The result for one image."""

    prediction: str = Field(description="The most probable class.")
    confidence: float = Field(ge=0, le=1, description="Its probability.")
    probabilities: dict[str, float] = Field(description="Of every class, calibrated; they sum to 1.")
    prediction_set: tuple[str, ...] | None = Field(
        description="The classes that cannot be ruled out: on scans like those of calibration the true one is "
        "among them 95 times in 100. Null if the weights carry no calibration.",
        examples=[["glioma", "meningioma"]],
    )
    review: Review | None = Field(description="Null if the weights carry no thresholds for it.")
    ood: OutlierScore | None = Field(description="Null if the weights carry no outlier detector.")
    input: InputReport
    model: ModelIdentity
    timing_ms: Timing


@dataclasses.dataclass(frozen=True)
class Visualization:
    """A prediction, the class whose evidence was drawn, and the picture as a file."""

    prediction: Prediction
    explained: str
    picture: bytes


@dataclasses.dataclass(frozen=True)
class Inference:
    """A prediction with the network's outputs for the image.

    Attributes:
        logits: (1, K), as the network computed them, in the order of the card's classes.
        heatmaps: (1, h, w) in [0, 1], of the class predicted; None where it was not asked for.
    """

    prediction: Prediction
    logits: FloatArray
    heatmaps: FloatArray | None
