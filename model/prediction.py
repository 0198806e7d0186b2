"""The result of a prediction; the service's JSON, the rows of the commands and the DICOM report are made of it."""

from dataclasses import dataclass

from model.images.decoded import FloatArray
from model.reliability.reliability import OutlierScore, Review


@dataclass(frozen=True)
class InputReport:
    """What arrived: the format, the upright size in pixels, and what was done to the pixels.

    Attributes:
        frame: Which frame of a DICOM file was judged, from 1; None for other formats.
        num_frames: How many it has.
    """

    format: str
    width: int
    height: int
    warnings: tuple[str, ...]
    frame: int | None
    num_frames: int | None


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights answered."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Timing:
    """Milliseconds spent on the parts of one prediction."""

    decode: float
    inference: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one image; the fields are those of the service's JSON.

    Attributes:
        prediction: The most probable class.
        confidence: Its probability.
        probabilities: Of every class, in the card's order; they sum to 1.
        prediction_set: The classes that cannot be ruled out; None if the card has no parameters for sets.
        review: Whether a person should look; None if the card has no thresholds.
        ood: How unlike the training data the image is; None if the card has no detector.
    """

    prediction: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...] | None
    review: Review | None
    ood: OutlierScore | None
    input: InputReport
    model: ModelIdentity
    timing_ms: Timing


@dataclass(frozen=True)
class Visualization:
    """A prediction, the class whose evidence was drawn, and the picture as PNG."""

    prediction: Prediction
    explained: str
    png: bytes


@dataclass(frozen=True)
class Inference:
    """A prediction with the network's outputs for the image, classes in the card's order.

    Attributes:
        logits: (1, K), as the network computed them.
        heatmaps: (1, h, w) in [0, 1], of the class predicted; None where they were not asked for.
    """

    prediction: Prediction
    logits: FloatArray
    heatmaps: FloatArray | None
