"""Tensors as the Open Inference Protocol writes them: images that come in, numbers that go out.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

BYTES, behind the JSON: for each element its length in four bytes, little-endian, and then itself; in the JSON: strings,
which here hold base64. FP32, behind the JSON: little-endian, row by row, no padding.
"""

import base64
from collections.abc import Sequence

import numpy as np

from api.exceptions import MalformedRequestError
from model.images.decoded import FloatArray

_NUM_LENGTH_BYTES = 4


def pack_floats(array: FloatArray) -> bytes:
    """Write an FP32 tensor as bytes."""
    return np.ascontiguousarray(array, "<f4").tobytes()


def parse_elements(values: Sequence[str], num_elements: int) -> list[bytes]:
    """Read a BYTES tensor (N,) from strings of base64, which may be broken into lines (RFC 2045, section 6.8).

    Raises:
        MalformedRequestError: If they are not base64, or not N.
    """
    if len(values) != num_elements:
        raise MalformedRequestError(f"Expected {num_elements} strings as the input's data; found {len(values)}.")
    return [_decode_base64(value) for value in values]


def unpack_elements(data: memoryview, num_elements: int) -> list[bytes]:
    """Read a BYTES tensor (N,) from bytes.

    Raises:
        MalformedRequestError: If the lengths written in it do not add up to its own.
    """
    elements = []
    for _ in range(num_elements):
        head, data = data[:_NUM_LENGTH_BYTES], data[_NUM_LENGTH_BYTES:]
        length = int.from_bytes(head, "little")
        if len(head) < _NUM_LENGTH_BYTES or length > len(data):
            raise _wrong_lengths(num_elements)
        elements.append(bytes(data[:length]))
        data = data[length:]
    if data:
        raise _wrong_lengths(num_elements)
    return elements


def _decode_base64(value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii").translate(None, b"\r\n"), validate=True)
    except ValueError as error:  # also binascii.Error and UnicodeEncodeError
        raise MalformedRequestError("Expected base64 in the input's data.") from error


def _wrong_lengths(num_elements: int) -> MalformedRequestError:
    return MalformedRequestError(
        f"Expected {num_elements} elements in the input's binary data, each behind its length in four bytes, "
        "little-endian; the lengths do not fit."
    )
