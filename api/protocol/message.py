"""Requests and responses of the Open Inference Protocol: from a body to images, and from tensors to a body.

body -> JSON, bytes behind it -> InferenceRequest -> encoded images
                                                  -> requested outputs, each in the JSON or behind it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from pydantic import ValidationError
from pydantic_core import from_json

from api.exceptions import MalformedRequestError
from api.protocol.schemas import (
    InferenceRequest,
    InferenceResponse,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    ResponseParameters,
    TensorMetadata,
)
from api.protocol.tensors import pack_floats, parse_elements, unpack_elements
from model.card import ModelCard
from model.images.decoded import FloatArray

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data",)
BINARY_TYPE = "application/octet-stream"
IMAGE = "image"
PROBABILITIES, LOGITS, CAM = "probabilities", "logits", "cam"

_ANY_SIZE = -1
_DEFAULT_OUTPUTS = (PROBABILITIES, LOGITS)
_SIZE, _BINARY, _ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
# Extensions of Triton's that change the meaning of a response: ignoring them would mislead.
_NOT_OFFERED = ("shared_memory_region", "classification")
# Two bytes of JSON become an object of 64: bounds what a body can become beyond its images, to about 9 MB.
_MAX_JSON_VALUES = 2**16


@dataclass(frozen=True)
class RequestedOutput:
    """A requested output."""

    name: str
    is_binary: bool


@dataclass(frozen=True)
class InferenceCall:
    """The content of a request.

    Attributes:
        images: Encoded, as they were sent.
    """

    id: str | None
    images: Sequence[bytes]
    outputs: Sequence[RequestedOutput]

    @property
    def needs_heatmap(self) -> bool:
        """Whether heatmaps are requested."""
        return any(output.name == CAM for output in self.outputs)


def describe_inputs() -> list[TensorMetadata]:
    """Describe the tensor that a request sends."""
    return [TensorMetadata(name=IMAGE, datatype="BYTES", shape=[_ANY_SIZE])]


def describe_outputs(card: ModelCard) -> list[TensorMetadata]:
    """Describe the tensors that may be requested."""
    classes = [_ANY_SIZE, len(card.classes)]
    return [
        TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=classes),
        TensorMetadata(name=LOGITS, datatype="FP32", shape=classes),
        TensorMetadata(name=CAM, datatype="FP32", shape=[_ANY_SIZE] * 3),
    ]


def read_call(body: bytes, header_length: str | None, max_batch: int) -> InferenceCall:
    """Read a request.

    Args:
        header_length: The header `HEADER_LENGTH`: how many bytes of the body are its JSON; None where all are.
        max_batch: Most images in one request.

    Raises:
        MalformedRequestError: If it breaks the protocol, or requests an output that the model does not have.
    """
    text, behind = _split(body, header_length)
    request = _parse_request(text)
    (tensor,) = request.inputs
    images = _read_images(tensor, _take_binary(tensor, behind), max_batch)
    return InferenceCall(request.id, images, _read_outputs(request))


def write_response(call: InferenceCall, card: ModelCard, tensors: Mapping[str, FloatArray]) -> Response:
    """Write the requested outputs in their order."""
    binary = {output.name: pack_floats(tensors[output.name]) for output in call.outputs if output.is_binary}
    outputs = [_describe_output(output.name, tensors[output.name], binary) for output in call.outputs]
    response = InferenceResponse(model_name=card.name, model_version=card.version, id=call.id, outputs=outputs)
    text = response.model_dump_json(exclude_none=True).encode()
    headers = {"Cache-Control": "no-store"}
    if not binary:
        return Response(text, media_type="application/json", headers=headers)
    headers[HEADER_LENGTH] = str(len(text))
    return Response(b"".join([text, *binary.values()]), media_type=BINARY_TYPE, headers=headers)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    is_number = header_length.isascii() and header_length.isdigit() and len(header_length) <= len(str(len(body)))
    if not is_number or int(header_length) > len(body):
        raise MalformedRequestError(
            f"Expected the length of the JSON at the body's start in the header {HEADER_LENGTH}."
        )
    end = int(header_length)
    return body[:end], memoryview(body)[end:]


def _parse_request(text: bytes) -> InferenceRequest:
    if sum(map(text.count, (b",", b"[", b"{"))) > _MAX_JSON_VALUES:
        raise MalformedRequestError("The JSON holds too many values; it needs a few for each image.")
    try:
        return InferenceRequest.model_validate(from_json(text, allow_inf_nan=False))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise MalformedRequestError(
            f"Expected a request as the Open Inference Protocol describes it; {where or 'the body'} is not."
        ) from error
    except ValueError as error:
        raise MalformedRequestError("Expected JSON in UTF-8, not nested deeply.") from error


def _take_binary(tensor: RequestInput, behind: memoryview) -> memoryview | None:
    """Find the tensor's bytes behind the JSON; None where it is not there."""
    size = tensor.parameters.get(_SIZE)
    if type(size) is not int and size is not None:
        raise MalformedRequestError(f"Expected a number of bytes as the parameter {_SIZE!r}.")
    if (size or 0) != len(behind):
        raise MalformedRequestError(
            f"Expected as many bytes behind the JSON as {_SIZE!r} announces, and {HEADER_LENGTH} set; "
            f"found {len(behind):,}."
        )
    return None if size is None else behind


def _read_images(tensor: RequestInput, binary: memoryview | None, max_batch: int) -> list[bytes]:
    _refuse_not_offered(tensor.parameters)
    _check_form(tensor, max_batch)
    (num_images,) = tensor.shape
    if tensor.data is not None and binary is None:
        return parse_elements(tensor.data, num_images)
    if binary is not None and tensor.data is None:
        return unpack_elements(binary, num_images)
    raise MalformedRequestError(f"Expected either 'data' or {_SIZE!r} in the input.")


def _check_form(tensor: RequestInput, max_batch: int) -> None:
    if tensor.name != IMAGE:
        raise MalformedRequestError(f"The model has no such input; expected {IMAGE!r}.")
    if tensor.datatype != "BYTES":
        raise MalformedRequestError(f"Expected the datatype BYTES for the input {IMAGE!r}.")
    if len(tensor.shape) != 1 or not 1 <= tensor.shape[0] <= max_batch:
        raise MalformedRequestError(f"Expected the shape [N] for the input {IMAGE!r}, with N from 1 to {max_batch}.")


def _read_outputs(request: InferenceRequest) -> list[RequestedOutput]:
    all_binary = _read_flag(request.parameters, _ALL_BINARY, default=False)
    asked = request.outputs or [RequestOutput(name=name) for name in _DEFAULT_OUTPUTS]
    if not {output.name for output in asked} <= {PROBABILITIES, LOGITS, CAM}:
        raise MalformedRequestError(
            f"The model has no such output; expected some of {PROBABILITIES!r}, {LOGITS!r}, {CAM!r}."
        )
    if len({output.name for output in asked}) != len(asked):
        raise MalformedRequestError("Expected each output to be requested once.")
    for output in asked:
        _refuse_not_offered(output.parameters)
    return [
        RequestedOutput(output.name, _read_flag(output.parameters, _BINARY, default=all_binary)) for output in asked
    ]


def _read_flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    flag = parameters.get(name, default)
    if not isinstance(flag, bool):
        raise MalformedRequestError(f"Expected true or false as the parameter {name!r}.")
    return flag


def _refuse_not_offered(parameters: Mapping[str, Any]) -> None:
    for name in _NOT_OFFERED:
        if name in parameters:
            raise MalformedRequestError(f"The parameter {name!r} belongs to an extension that is not offered here.")


def _describe_output(name: str, tensor: FloatArray, binary: Mapping[str, bytes]) -> ResponseOutput:
    if name in binary:
        parameters = ResponseParameters(binary_data_size=len(binary[name]))
        return ResponseOutput(name=name, datatype="FP32", shape=list(tensor.shape), parameters=parameters)
    return ResponseOutput(name=name, datatype="FP32", shape=list(tensor.shape), data=tensor.ravel().tolist())
