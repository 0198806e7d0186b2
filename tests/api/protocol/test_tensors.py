import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from api.exceptions import MalformedRequestError
from api.protocol.tensors import pack_floats, parse_elements, parse_floats, unpack_elements, unpack_floats

floats = arrays(
    np.float32,
    array_shapes(max_dims=4, max_side=5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
elements = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@given(floats)
def test_floats_come_back_as_they_were_in_every_form(array):
    for values in (array.tolist(), array.ravel().tolist()):
        np.testing.assert_array_equal(parse_floats("x", values, array.shape), array)
    np.testing.assert_array_equal(unpack_floats("x", memoryview(pack_floats(array)), array.shape), array)
    assert pack_floats(array) == array.tobytes()  # as Triton's client writes it


@given(elements)
def test_bytes_are_read_as_tritons_client_writes_them(images):
    packed = serialize_byte_tensor(np.array(images, np.object_)).item()
    assert unpack_elements("x", memoryview(packed), len(images)) == images
    assert deserialize_bytes_tensor(packed).tolist() == images


@given(elements)
def test_bytes_in_json_are_base64(images):
    assert parse_elements("x", [base64.b64encode(data).decode("ascii") for data in images], len(images)) == images


@given(st.binary(max_size=60), st.integers(1, 5))
def test_arbitrary_bytes_are_a_tensor_or_an_error_of_ours(data, num_elements):
    try:
        found = unpack_elements("x", memoryview(data), num_elements)
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
        unpack_elements("x", memoryview(data), 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "as one list"),
        ([[1, 2], [3]], "as one list"),
        ([[1, 2], 3], "as one list"),
        ([[1], [2], [3], [4]], "as one list"),
        ([], "as one list"),
        (None, "as one list"),
        ("1234", "as one list"),
        ({"0": 1}, "as one list"),
        ([1, 2, 3, [4]], "Expected numbers"),
        ([[[1], [2]], [[3], [4]]], "Expected numbers"),
        ([1, 2, 3, "4"], "Expected numbers"),
        ([1, 2, 3, True], "Expected numbers"),
        ([1, 2, 3, None], "Expected numbers"),
        ([1, 2, 3, float("nan")], "finite"),
        ([1, 2, 3, float("inf")], "finite"),
        ([1, 2, 3, 1e39], "finite"),
        ([1, 2, 3, 10**400], "finite"),
    ],
)
def test_lists_that_are_no_such_tensor_are_refused(values, message):
    with pytest.raises(MalformedRequestError, match=message):
        parse_floats("x", values, (2, 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(15), "Expected 16 bytes"),
        (bytes(17), "Expected 16 bytes"),
        (b"", "Expected 16 bytes"),
        (np.array([1, 2, 3, np.nan], "<f4").tobytes(), "finite"),
        (np.array([1, 2, 3, -np.inf], "<f4").tobytes(), "finite"),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused(data, message):
    with pytest.raises(MalformedRequestError, match=message):
        unpack_floats("x", memoryview(data), (2, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "a list of 1"),
        ("YQ==", "a list of 1"),
        ([], "a list of 1"),
        (["YQ==", "YQ=="], "a list of 1"),
        ([1], "strings"),
        ([["YQ=="]], "strings"),
        (["YQ"], "base64"),
        (["Y Q=="], "base64"),
        (["ü"], "base64"),
    ],
)
def test_strings_that_are_no_base64_are_refused(values, message):
    with pytest.raises(MalformedRequestError, match=message):
        parse_elements("x", values, 1)
