"""The service's responses, as the OpenAPI document shows them; predictions are those of `model.prediction`."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass

from model.card import PublicCard
from model.prediction import ModelIdentity, Prediction, Timing

HEADER_LENGTH = "Inference-Header-Content-Length"  # bytes of JSON in a body under `/v2`
DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or treatment decisions."


def describe_header(description: str, schema: dict[str, Any] | None = None, *, required: bool = True) -> dict[str, Any]:
    """Describe a response header for the OpenAPI document; by default any text."""
    return {"description": description, "required": required, "schema": schema or {"type": "string"}}


RESPONSE_HEADERS = {
    "X-Request-ID": describe_header(
        "The client's own id, or a new one.", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}
    )
}
UNSTORED_HEADERS = {
    **RESPONSE_HEADERS,
    "Cache-Control": describe_header("Responses about a patient are not to be stored.", {"const": "no-store"}),
}


@dataclass(frozen=True, kw_only=True)
class ServedTiming(Timing):
    """Milliseconds spent on the parts of one request."""

    queue: float = Field(description="Waiting for a free core.")


@dataclass(frozen=True, kw_only=True)
class ServedPrediction(Prediction):
    """The result for one image of a request."""

    timing_ms: ServedTiming

    @classmethod
    def of(cls, prediction: Prediction, queue_ms: float) -> Self:
        """Complete a prediction with its time in the queue."""
        timing = ServedTiming(**vars(prediction.timing_ms), queue=queue_ms)
        return cls(**{**vars(prediction), "timing_ms": timing})


@dataclass(frozen=True, kw_only=True)
class PredictionResponse(ServedPrediction):
    """The prediction for one image."""

    request_id: str
    disclaimer: str = DISCLAIMER


class CardResponse(PublicCard):
    """The model card, and the engine that serves it."""

    gaps: list[str] = Field(
        description="What the weights lack: parts of the calibration, with the images these take, and metrics."
    )
    sha256: str = Field(description="Of the checkpoint the weights come from.")
    engine: str = Field(description="The library that computes.", examples=["onnxruntime"])
    threads: int = Field(description="Cores that classify images, in each worker.")
    workers: int = Field(description="Processes that serve.")


class StatusResponse(BaseModel):
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
    status: int = Field(ge=400, le=599, description="The response's own.")
    detail: str
    instance: str = Field(description="The path that was requested.")
    code: str = Field(description="For programs; stable.", examples=["unsupported_format"], pattern="^[a-z0-9_]+$")
    request_id: str


class ProtocolError(BaseModel):
    """An error as the protocol has it."""

    error: str


class BatchItem(BaseModel):
    """The result for one file of a batch: a prediction or a problem."""

    index: int = Field(ge=0, description="The file's place in the body; the first one is 0.")
    prediction: ServedPrediction | None = Field(description="Null if there is a problem.")
    problem: Problem | None = Field(description="Null if there is a prediction.")


class BatchResponse(BaseModel):
    """The results for a batch."""

    results: list[BatchItem] = Field(description="One a file, in the order of the files.")
    model: ModelIdentity
    request_id: str
    disclaimer: str = DISCLAIMER
