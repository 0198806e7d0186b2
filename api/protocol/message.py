"""Requests and responses of the Open Inference Protocol: from a body to images, and from tensors to a body.

body -> JSON, bytes behind it -> InferenceRequest -> encoded images
                                                  -> requested outputs, each in the JSON or behind it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
from api.schemas import HEADER_LENGTH
from model.card import ModelCard
from model.images.decoded import FloatArray

EXTENSIONS = ("binary_tensor_data",)
BINARY_TYPE = "application/octet-stream"
IMAGE = "image"
PROBABILITIES: Final = "probabilities"
LOGITS: Final = "logits"
CAM: Final = "cam"

_ANY_SIZE = -1
# Two bytes of JSON become an object of 64: bounds what a body can become beyond its images, to about 9 MB.
_MAX_JSON_VALUES = 2**16


@dataclass(frozen=True)
class InferenceCall:
    """A request, with the encoded images that it holds or that came behind it."""

    request: InferenceRequest
    images: list[bytes]

    @property
    def outputs(self) -> Mapping[str, bool]:
        """The requested outputs in their order, each with whether it goes behind the JSON."""
        requested = self.request.outputs or [RequestOutput(name=PROBABILITIES), RequestOutput(name=LOGITS)]
        default = self.request.parameters.binary_data_output
        flags = {output.name: output.parameters.binary_data for output in requested}
        return {name: default if flag is None else flag for name, flag in flags.items()}


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
    return InferenceCall(request, _read_images(request.inputs[0], behind, max_batch))


def write_response(call: InferenceCall, card: ModelCard, tensors: Mapping[str, FloatArray]) -> Response:
    """Write the requested outputs in their order."""
    binary = {name: pack_floats(tensors[name]) for name, is_binary in call.outputs.items() if is_binary}
    response = InferenceResponse(
        model_name=card.name,
        model_version=card.version,
        id=call.request.id,
        outputs=[_describe_output(name, tensors[name], binary) for name in call.outputs],
    )
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
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedRequestError(
            f"Expected a request of the Open Inference Protocol; {where}: {first['msg']}."
        ) from error
    except ValueError as error:
        raise MalformedRequestError("Expected JSON in UTF-8, not nested deeply.") from error


def _read_images(tensor: RequestInput, behind: memoryview, max_batch: int) -> list[bytes]:
    num_images, size = tensor.shape[0], tensor.parameters.binary_data_size
    if num_images > max_batch:
        raise MalformedRequestError(f"Expected at most {max_batch} images; found {num_images}.")
    if (size or 0) != len(behind):
        raise MalformedRequestError(
            f"Expected as many bytes behind the JSON as 'binary_data_size' announces, and {HEADER_LENGTH} set; "
            f"found {len(behind):,}."
        )
    if tensor.data is not None and size is None:
        return parse_elements(tensor.data, num_images)
    if tensor.data is None and size is not None:
        return unpack_elements(behind, num_images)
    raise MalformedRequestError("Expected either 'data' or 'binary_data_size' in the input.")


def _describe_output(name: str, tensor: FloatArray, binary: Mapping[str, bytes]) -> ResponseOutput:
    if name in binary:
        parameters = ResponseParameters(binary_data_size=len(binary[name]))
        return ResponseOutput(name=name, datatype="FP32", shape=list(tensor.shape), parameters=parameters)
    return ResponseOutput(name=name, datatype="FP32", shape=list(tensor.shape), data=tensor.ravel().tolist())
