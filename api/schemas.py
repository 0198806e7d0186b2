"""What the service answers, as the OpenAPI document shows it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from model.card import Preprocessing, SplitMetrics
from model.classifier import ModelIdentity, Prediction

DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment decisions."


class InputAnswer(BaseModel):
    """What arrived."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(description="Of the upright image, pixels.")
    height: int = Field(description="Of the upright image, pixels.")
    warnings: list[str] = Field(description="What was done to the pixels that you may not expect.")


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


class PredictionAnswer(BaseModel):
    """The answer to one image."""

    prediction: str = Field(description="The most probable class.")
    confidence: float = Field(ge=0, le=1, description="Its probability.")
    probabilities: dict[str, float] = Field(description="Of every class; they sum to 1.")
    input: InputAnswer
    model: ModelAnswer
    timing_ms: TimingAnswer
    request_id: str
    disclaimer: str = DISCLAIMER

    @classmethod
    def of(cls, prediction: Prediction, queue_ms: float, request_id: str) -> "PredictionAnswer":
        """Put a prediction into the answer's form."""
        return cls(
            prediction=prediction.prediction,
            confidence=prediction.confidence,
            probabilities=prediction.probabilities,
            input=InputAnswer(
                format=prediction.input.format,
                width=prediction.input.width,
                height=prediction.input.height,
                warnings=list(prediction.input.warnings),
            ),
            model=model_answer(prediction.model),
            timing_ms=TimingAnswer(
                decode=prediction.timing_ms.decode, queue=queue_ms, inference=prediction.timing_ms.inference
            ),
            request_id=request_id,
        )


class CardAnswer(BaseModel):
    """The model card."""

    name: str
    version: str
    sha256: str = Field(description="Of the checkpoint the weights come from.")
    engine: str = Field(description="What computes.", examples=["onnxruntime"])
    architecture: str
    classes: list[str]
    preprocessing: Preprocessing
    gradcam_layer: str
    temperature: float
    metrics: dict[str, SplitMetrics] = Field(description="By test split, each value with its 95 % interval.")
    training: dict[str, Any] = Field(description="Recipe, data manifest hash, library versions.")
    intended_use: str


class StatusAnswer(BaseModel):
    """The state of the service."""

    status: Literal["alive", "ready"]


class Problem(BaseModel):
    """An error, after RFC 9457."""

    type: str = Field(examples=["urn:brain-tumor-mri:problem:unsupported_format"])
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="For programs; stable.", examples=["unsupported_format"])
    request_id: str


def model_answer(identity: ModelIdentity) -> ModelAnswer:
    """Put the identity of the weights into the answer's form."""
    return ModelAnswer(name=identity.name, version=identity.version, sha256=identity.sha256)
