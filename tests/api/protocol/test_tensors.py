import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from api.exceptions import MalformedRequestError
from api.protocol.tensors import pack_floats, parse_elements, unpack_elements

floats = arrays(
    np.float32,
    array_shapes(max_dims=4, max_side=5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
elements = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@given(floats)
def test_floats_are_written_as_tritons_client_reads_them(array):
    assert pack_floats(array) == array.tobytes()


@given(elements)
def test_bytes_are_read_as_tritons_client_writes_them(images):
    packed = serialize_byte_tensor(np.array(images, np.object_)).item()
    assert unpack_elements(memoryview(packed), len(images)) == images
    assert deserialize_bytes_tensor(packed).tolist() == images


@given(elements)
def test_bytes_in_json_are_base64(images):
    assert parse_elements([base64.b64encode(data).decode("ascii") for data in images], len(images)) == images


@given(elements)
def test_base64_may_be_broken_into_lines_as_mime_has_it(images):
    lines = [base64.encodebytes(data * 9).decode("ascii") for data in images]
    assert parse_elements(lines, len(images)) == [data * 9 for data in images]
    assert parse_elements([line.replace("\n", "\r\n") for line in lines], len(images)) == [data * 9 for data in images]


@given(st.binary(max_size=60), st.integers(1, 5))
def test_arbitrary_bytes_are_a_tensor_or_an_error_of_ours(data, num_elements):
    try:
        found = unpack_elements(memoryview(data), num_elements)
    except MalformedRequestError:
        return
    assert sum(4 + len(element) for element in found) == len(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x02\0\0\0a", b"\xff\xff\xff\xffa", b"\x01\0\0\0ab", b"\0\0\0\0\0\0\0\0"],
    ids=["nothing", "half-a-length", "too-short", "huge", "too-long", "one-too-many"],
)
def test_lengths_that_lie_are_refused(data):
    with pytest.raises(MalformedRequestError, match="the lengths do not fit"):
        unpack_elements(memoryview(data), 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "1 strings"),
        (["YQ==", "YQ=="], "1 strings"),
        (["YQ"], "base64"),
        (["Y Q=="], "base64"),
        (["ü"], "base64"),
    ],
)
def test_strings_that_are_no_base64_are_refused(values, message):
    with pytest.raises(MalformedRequestError, match=message):
        parse_elements(values, 1)
