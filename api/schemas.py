"""What the service answers, as the OpenAPI document shows it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from model.card import ConformalSets, Head, Preprocessing, ReviewThresholds, SplitMetrics
from model.prediction import ModelIdentity, Prediction
from model.reliability.reliability import Level, OutlierScore, Reason, Review

DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment decisions."


def describe_header(description: str, schema: dict[str, Any] | None = None, *, required: bool = True) -> dict[str, Any]:
    """Describe a header of an answer for the OpenAPI document; by default any text."""
    return {"description": description, "required": required, "schema": schema or {"type": "string"}}


ANSWER_HEADERS = {
    "X-Request-ID": describe_header(
        "The client's own id, or a new one.", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}
    )
}
UNSTORED_HEADERS = {
    **ANSWER_HEADERS,
    "Cache-Control": describe_header("Answers about a patient are not to be stored.", {"const": "no-store"}),
}


class InputAnswer(BaseModel):
    """What arrived."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(description="Of the upright image, pixels.")
    height: int = Field(description="Of the upright image, pixels.")
    warnings: list[str] = Field(
        description="What was done to the pixels that you may not expect, and what a DICOM header says against "
        "judging the image."
    )
    frame: int | None = Field(description="Which frame of a DICOM file was judged, from 1; null for other formats.")
    num_frames: int | None = Field(description="How many frames the DICOM file has.")


class ModelAnswer(BaseModel):
    """Which weights answered."""

    name: str = Field(examples=["efficientnet_b0"])
    version: str = Field(examples=["1.0.0"])
    sha256: str = Field(description="Of the checkpoint the weights come from.")


class TimingAnswer(BaseModel):
    """Milliseconds spent."""

    decode: float
    queue: float = Field(description="Waiting for a free core.")
    inference: float


class ReviewAnswer(BaseModel):
    """Whether a person should look at the image before the answer is used."""

    level: Level = Field(
        description="`required`: low confidence, several classes possible, or out of distribution; "
        "`consider`: the confidence could be higher, or a tumour is not excluded."
    )
    reasons: list[Reason] = Field(description="Every reason that applies; empty where the level is `none`.")


class OutlierAnswer(BaseModel):
    """How unlike the training data the image is."""

    score: float = Field(ge=0, description="Distance to the training data; comparable for the same weights only.")
    threshold: float = Field(description="99 of 100 scans like those of training score less.")
    outlier: bool = Field(description="The score exceeds the threshold: do not use the answer.")


class ImageAnswer(BaseModel):
    """What is said about one image."""

    prediction: str = Field(description="The most probable class.")
    confidence: float = Field(ge=0, le=1, description="Its probability.")
    probabilities: dict[str, float] = Field(description="Of every class; they sum to 1.")
    prediction_set: list[str] | None = Field(
        description="The classes that cannot be ruled out: on scans like those of calibration the true one is "
        "among them 95 times in 100. Null if the weights carry no calibration.",
        examples=[["glioma", "meningioma"]],
    )
    review: ReviewAnswer | None = Field(description="Null if the weights carry no calibration.")
    ood: OutlierAnswer | None = Field(description="Null if the weights carry no outlier detector.")
    input: InputAnswer
    timing_ms: TimingAnswer

    @classmethod
    def of(cls, prediction: Prediction, queue_ms: float) -> "ImageAnswer":
        """Put a prediction into the answer's form."""
        return cls(
            prediction=prediction.prediction,
            confidence=prediction.confidence,
            probabilities=prediction.probabilities,
            prediction_set=None if prediction.prediction_set is None else list(prediction.prediction_set),
            review=prediction.review and _review_answer(prediction.review),
            ood=prediction.ood and _outlier_answer(prediction.ood),
            input=InputAnswer(
                format=prediction.input.format,
                width=prediction.input.width,
                height=prediction.input.height,
                warnings=list(prediction.input.warnings),
                frame=prediction.input.frame,
                num_frames=prediction.input.num_frames,
            ),
            timing_ms=TimingAnswer(
                decode=prediction.timing_ms.decode, queue=queue_ms, inference=prediction.timing_ms.inference
            ),
        )


class PredictionAnswer(ImageAnswer):
    """The answer to one image."""

    model: ModelAnswer
    request_id: str
    disclaimer: str = DISCLAIMER


class DetectorAnswer(BaseModel):
    """The outlier detector, without its arrays."""

    method: str
    threshold: float
    percentile: float = Field(description="Of the scores of the calibration scans, at the threshold.")


class CardAnswer(BaseModel):
    """The model card."""

    name: str
    version: str
    sha256: str = Field(description="Of the checkpoint the weights come from.")
    engine: str = Field(description="What computes.", examples=["onnxruntime"])
    threads: int = Field(description="Images judged at once, and cores that work on one, in each worker.")
    workers: int = Field(description="Processes that serve.")
    architecture: str
    head: Head
    classes: list[str]
    class_map: dict[str, str] = Field(description="Which of them those of the training data became, if others.")
    preprocessing: Preprocessing
    gradcam_layer: str
    temperature: float = Field(description="Logits are divided by it before the softmax.")
    conformal: ConformalSets | None = Field(description="Of the prediction sets.")
    outlier_detector: DetectorAnswer | None
    review: ReviewThresholds | None
    metrics: dict[str, SplitMetrics] = Field(description="By test split, each value with its 95 % interval.")
    training: dict[str, Any] = Field(description="Recipe, data manifest hash, library versions.")
    intended_use: str


class StatusAnswer(BaseModel):
    """The state of the service."""

    status: Literal["alive", "ready"]


class Problem(BaseModel):
    """An error, after RFC 9457."""

    type: str = Field(
        examples=["urn:brain-tumor-mri:problem:unsupported_format"],
        pattern="^urn:brain-tumor-mri:problem:[a-z0-9_]+$",
        json_schema_extra={"format": "uri"},
    )
    title: str
    status: int = Field(ge=400, le=599, description="The answer's own.")
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="For programs; stable.", examples=["unsupported_format"], pattern="^[a-z0-9_]+$")
    request_id: str


class ProtocolError(BaseModel):
    """An error as the protocol has it."""

    error: str


class ItemAnswer(BaseModel):
    """What came of one file of a batch: a prediction or a problem."""

    index: int = Field(ge=0, description="The file's place in the body; the first one is 0.")
    prediction: ImageAnswer | None = Field(description="Null if there is a problem.")
    problem: Problem | None = Field(description="Null if there is a prediction.")


class BatchAnswer(BaseModel):
    """The answer to a batch."""

    results: list[ItemAnswer] = Field(description="One a file, in the order of the files.")
    model: ModelAnswer
    request_id: str
    disclaimer: str = DISCLAIMER


def model_answer(identity: ModelIdentity) -> ModelAnswer:
    """Put the identity of the weights into the answer's form."""
    return ModelAnswer(name=identity.name, version=identity.version, sha256=identity.sha256)


def _review_answer(review: Review) -> ReviewAnswer:
    return ReviewAnswer(level=review.level, reasons=list(review.reasons))


def _outlier_answer(ood: OutlierScore) -> OutlierAnswer:
    return OutlierAnswer(score=ood.score, threshold=ood.threshold, outlier=ood.outlier)
