"""Tensors as the Open Inference Protocol writes them: lists in its JSON, or bytes behind it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Two datatypes are in use. FP32, behind the JSON: little-endian, row by row, no padding. BYTES, behind the JSON: for each
element its length in four bytes, little-endian, and then itself; in the JSON: strings, which here hold base64.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from api.exceptions import MalformedRequestError
from model.images.decoded import FloatArray

_FLOAT = np.dtype("<f4")
_NUM_LENGTH_BYTES = 4


def parse_floats(name: str, values: object, shape: Sequence[int]) -> FloatArray:
    """Read an FP32 tensor from JSON, a flat list or lists nested as `shape` says.

    Args:
        shape: Already held against what the model takes.

    Raises:
        MalformedRequestError: If the lists have another shape, or hold what is not a finite number.
    """
    numbers = _flatten(name, values, shape)
    if not set(map(type, numbers)) <= {int, float}:  # `bool` is a type of its own here
        raise MalformedRequestError(f"Expected numbers in the data of the tensor {name!r}.")
    try:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite
            array = np.array(numbers, np.float32)
    except OverflowError as error:
        raise _not_finite(name) from error
    return _check_finite(name, array.reshape(shape))


def unpack_floats(name: str, data: memoryview, shape: Sequence[int]) -> FloatArray:
    """Read an FP32 tensor from bytes.

    Args:
        shape: Already held against what the model takes.

    Raises:
        MalformedRequestError: If there are more or fewer bytes than `shape` needs, or a number is not finite.
    """
    num_bytes = math.prod(shape) * _FLOAT.itemsize
    if len(data) != num_bytes:
        raise MalformedRequestError(
            f"Expected {num_bytes:,} bytes of binary data for the tensor {name!r}; found {len(data):,}."
        )
    return _check_finite(name, np.frombuffer(data, _FLOAT).astype(np.float32).reshape(shape))


def pack_floats(array: FloatArray) -> bytes:
    """Write an FP32 tensor as bytes."""
    return np.ascontiguousarray(array, _FLOAT).tobytes()


def parse_elements(name: str, values: object, num_elements: int) -> list[bytes]:
    """Read a BYTES tensor (N,) from a JSON list of base64.

    Raises:
        MalformedRequestError: If it is no such list, or of another length.
    """
    if not isinstance(values, list) or len(values) != num_elements:
        raise MalformedRequestError(f"Expected a list of {num_elements} strings as the data of the tensor {name!r}.")
    return [_decode_base64(name, value) for value in values]


def unpack_elements(name: str, data: memoryview, num_elements: int) -> list[bytes]:
    """Read a BYTES tensor (N,) from bytes.

    Raises:
        MalformedRequestError: If the lengths written in it do not add up to its own.
    """
    elements = []
    for _ in range(num_elements):
        head, data = data[:_NUM_LENGTH_BYTES], data[_NUM_LENGTH_BYTES:]
        length = int.from_bytes(head, "little")
        if len(head) < _NUM_LENGTH_BYTES or length > len(data):
            raise _wrong_lengths(name, num_elements)
        elements.append(bytes(data[:length]))
        data = data[length:]
    if data:
        raise _wrong_lengths(name, num_elements)
    return elements


def _flatten(name: str, values: object, shape: Sequence[int]) -> list[object]:
    is_nested = isinstance(values, list) and bool(values) and isinstance(values[0], list)
    level: list[object] = [values]
    for size in shape if is_nested else (math.prod(shape),):
        lists = [item for item in level if isinstance(item, list) and len(item) == size]
        if len(lists) != len(level):
            raise MalformedRequestError(
                f"Expected the data of the tensor {name!r} as one list, or as lists nested in its shape."
            )
        level = list(chain.from_iterable(lists))
    return level


def _check_finite(name: str, array: FloatArray) -> FloatArray:
    if not np.isfinite(array).all():
        raise _not_finite(name)
    return array


def _decode_base64(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise MalformedRequestError(f"Expected strings in the data of the tensor {name!r}.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:  # the latter where it is not even ASCII
        raise MalformedRequestError(f"Expected base64 in the data of the tensor {name!r}.") from error


def _not_finite(name: str) -> MalformedRequestError:
    return MalformedRequestError(f"Expected finite numbers of 32 bits in the tensor {name!r}.")


def _wrong_lengths(name: str, num_elements: int) -> MalformedRequestError:
    return MalformedRequestError(
        f"Expected {num_elements} elements in the binary data of the tensor {name!r}, each behind its length in four "
        "bytes, little-endian; the lengths do not fit."
    )
