"""Requests and responses of the Open Inference Protocol, named as in its specification.

Unknown fields of a request are ignored: the protocol leaves room for extensions.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Datatype = Literal["FP32", "BYTES"]


class ServerLive(BaseModel):
    """Whether the server is alive."""

    live: bool


class ServerReady(ServerLive):
    """Whether the server is ready; the specification has `live`, most servers send `ready`."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model is ready."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor that the model takes or returns."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 where a dimension may have any size.")


class ModelMetadata(BaseModel):
    """The model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class _RequestPart(BaseModel):
    model_config = ConfigDict(strict=True)


class InputParameters(_RequestPart):
    """Parameters of an input; Triton's shared memory is not offered."""

    binary_data_size: int | None = Field(None, ge=0, description="Bytes behind the JSON, instead of `data`.")
    shared_memory_region: None = None


def _check_shape(shape: list[int]) -> list[int]:
    if shape[1:] not in ([], [1]):
        raise ValueError("expected [N] or [N, 1]")
    return shape


class RequestInput(_RequestPart):
    """The images, as `data` or behind the JSON."""

    name: Literal["image"]
    shape: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(
            min_length=1,
            max_length=2,
            description="[N] or [N, 1].",
            json_schema_extra={"prefixItems": [{"type": "integer", "minimum": 1}, {"const": 1}]},
        ),
        AfterValidator(_check_shape),
    ]
    datatype: Literal["BYTES"]
    parameters: InputParameters = InputParameters()
    data: Annotated[list[str], Field(fail_fast=True, description="Encoded images, as base64.")] | None = None

    @field_validator("data", mode="before")
    @classmethod
    def _flatten_column(cls, data: Any, info: ValidationInfo) -> Any:
        """Take the rows of a tensor [N, 1] apart, which clients write with their brackets or without."""
        if len(info.data.get("shape", ())) == 1 or not isinstance(data, list):
            return data
        return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]


class OutputParameters(_RequestPart):
    """Parameters of an output; Triton's extensions that change its meaning are not offered."""

    binary_data: bool | None = Field(None, description="Whether it comes behind the JSON.")
    shared_memory_region: None = None
    classification: None = None


class RequestOutput(_RequestPart):
    """A requested tensor."""

    name: Literal["probabilities", "logits", "cam"]
    parameters: OutputParameters = OutputParameters()


class RequestParameters(_RequestPart):
    """Parameters of a request."""

    binary_data_output: bool = Field(False, description="Whether outputs come behind the JSON by default.")


class InferenceRequest(_RequestPart):
    """A request for one tensor of images."""

    id: str | None = Field(None, max_length=1024, description="Returned with the response.")
    parameters: RequestParameters = RequestParameters()
    inputs: list[RequestInput] = Field(min_length=1, max_length=1)
    outputs: list[RequestOutput] = Field(
        [], max_length=3, description="By default `probabilities` and `logits`, not `cam`."
    )

    @model_validator(mode="after")
    def _check_outputs(self) -> Self:
        if len({output.name for output in self.outputs}) != len(self.outputs):
            raise ValueError("outputs have to differ")
        return self


class ResponseParameters(BaseModel):
    """The size of a tensor that is not in the JSON."""

    binary_data_size: int = Field(ge=0, description="Bytes behind the JSON.")


class ResponseOutput(BaseModel):
    """A returned tensor: as `data`, or behind the JSON."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: ResponseParameters | None = None
    data: list[float] | None = Field(None, description="Row by row.")


class InferenceResponse(BaseModel):
    """A response."""

    model_name: str
    model_version: str
    id: str | None = Field(None, description="The request's own, if it had one.")
    outputs: list[ResponseOutput]
