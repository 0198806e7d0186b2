"""Requests and responses of the Open Inference Protocol, named as in its specification.

Fields of a request that are not known here are passed over: the protocol leaves room for extensions.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Datatype = Literal["FP32", "BYTES"]
Parameters = Annotated[dict[str, Any], Field(description="Those that are not known are passed over.")]


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


class RequestInput(_RequestPart):
    """The images that are sent: as `data`, or behind the JSON where `parameters` holds its `binary_data_size`."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=8)]
    datatype: str
    parameters: Parameters = {}
    data: Annotated[list[str], Field(fail_fast=True, description="Encoded images, as base64.")] | None = None


class RequestOutput(_RequestPart):
    """A requested tensor; `binary_data` in `parameters` asks for it behind the JSON."""

    name: str
    parameters: Parameters = {}


class InferenceRequest(_RequestPart):
    """A request; `binary_data_output` in `parameters` asks for all outputs behind the JSON."""

    id: str | None = Field(None, max_length=1024, description="Returned with the response.")
    parameters: Parameters = {}
    inputs: list[RequestInput] = Field(min_length=1, max_length=1, description="The model's one input.")
    outputs: list[RequestOutput] = Field(
        [], max_length=3, description="By default `probabilities` and `logits`, not `cam`."
    )


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
