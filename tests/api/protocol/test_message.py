import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.exceptions import MalformedRequestError
from api.protocol import message as inference_message
from api.protocol.message import read_call
from tests.service.triton import HEADER_LENGTH, ask_binary, ask_json, frame

MAX_BATCH = 3
IMAGE = ask_json(b"image")["inputs"][0]


def read(content, headers=None):
    return read_call(content, (headers or {}).get(HEADER_LENGTH), MAX_BATCH)


def test_binary_images_are_taken_apart():
    assert read(**ask_binary(b"a", b"", b"bcd")).images == [b"a", b"", b"bcd"]


@pytest.mark.parametrize("data", [["YQ==", "Yg=="], [["YQ=="], ["Yg=="]]])
def test_a_column_of_images_may_be_written_with_its_brackets_or_without(data):
    request = _with(IMAGE, shape=[2, 1], data=data)
    assert read(json.dumps(request).encode()).images == [b"a", b"b"]


def test_by_default_probabilities_and_logits_come_in_json():
    call = read(json.dumps(ask_json(b"x", parameters={"priority": 1, "ours": [{}]}, model_name="tiny")).encode())
    assert call.outputs == {"probabilities": False, "logits": False}
    assert call.request.id is None


def test_the_parameters_of_an_output_override_those_of_the_request():
    outputs = [{"name": "cam", "parameters": {"binary_data": False}}, {"name": "logits"}]
    request = ask_json(b"x", id="7", parameters={"binary_data_output": True}, outputs=outputs)
    call = read(json.dumps(request).encode())
    assert list(call.outputs.items()) == [("cam", False), ("logits", True)]
    assert call.request.id == "7"


def _with(tensor, **changes):
    return {"inputs": [{**tensor, **changes}]}


BAD = {
    "no-inputs": {},
    "null": None,
    "list": [],
    "empty-inputs": {"inputs": []},
    "inputs-is-an-object": {"inputs": {}},
    "two-inputs": {"inputs": [IMAGE, IMAGE]},
    "many-inputs": {"inputs": [IMAGE] * 9},
    "no-name": {"inputs": [{"datatype": "BYTES", "shape": [1], "data": ["YQ=="]}]},
    "unknown-input": _with(IMAGE, name="unicorn"),
    "other-datatype": _with(IMAGE, datatype="FP32"),
    "unknown-datatype": _with(IMAGE, datatype="FP8"),
    "datatype-is-a-number": _with(IMAGE, datatype=32),
    "inputs-of-the-network": _with(IMAGE, name="inputs", datatype="FP32", shape=[1, 3, 1, 1], data=[0.5] * 3),
    "no-data": {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}]},
    "shape-of-nothing": _with(IMAGE, shape=[]),
    "shape-zero": _with(IMAGE, shape=[0], data=[]),
    "shape-negative": _with(IMAGE, shape=[-1]),
    "shape-float": _with(IMAGE, shape=[1.5]),
    "shape-text": _with(IMAGE, shape=["1"]),
    "shape-bool": _with(IMAGE, shape=[True]),
    "shape-huge": _with(IMAGE, shape=[2**63]),
    "shape-beyond-64-bit": _with(IMAGE, shape=[2**80]),
    "shape-of-two-columns": _with(IMAGE, shape=[1, 2]),
    "shape-of-three-axes": _with(IMAGE, shape=[1, 1, 1]),
    "rows-of-two": _with(IMAGE, shape=[1, 1], data=[["YQ==", "YQ=="]]),
    "rows-in-rows": _with(IMAGE, shape=[1, 1], data=[[["YQ=="]]]),
    "shape-long": _with(IMAGE, shape=[1] * 9),
    "too-many-images": _with(IMAGE, shape=[4], data=IMAGE["data"] * 4),
    "fewer-images": _with(IMAGE, shape=[2]),
    "data-is-text": _with(IMAGE, data="YQ=="),
    "data-is-an-object": _with(IMAGE, data={}),
    "data-is-numbers": _with(IMAGE, data=[1]),
    "data-is-nested": _with(IMAGE, data=[["YQ=="]]),
    "both": _with(IMAGE, parameters={"binary_data_size": 0}),
    "binary-without-header": {"inputs": [{**IMAGE, "data": None, "parameters": {"binary_data_size": 5}}]},
    "size-is-text": _with(IMAGE, data=None, parameters={"binary_data_size": "5"}),
    "size-is-negative": _with(IMAGE, data=None, parameters={"binary_data_size": -1}),
    "size-is-true": _with(IMAGE, data=None, parameters={"binary_data_size": True}),
    "parameters-is-a-list": _with(IMAGE, parameters=[]),
    "shared-memory": _with(IMAGE, data=None, parameters={"shared_memory_region": "x"}),
    "id-is-a-number": {"inputs": [IMAGE], "id": 7},
    "id-is-long": {"inputs": [IMAGE], "id": "x" * 1025},
    "unknown-output": {"inputs": [IMAGE], "outputs": [{"name": "features"}]},
    "output-twice": {"inputs": [IMAGE], "outputs": [{"name": "cam"}, {"name": "cam"}]},
    "output-is-text": {"inputs": [IMAGE], "outputs": ["cam"]},
    "outputs-is-null": {"inputs": [IMAGE], "outputs": None},
    "binary-is-text": {"inputs": [IMAGE], "outputs": [{"name": "cam", "parameters": {"binary_data": "yes"}}]},
    "all-binary-is-a-number": {"inputs": [IMAGE], "parameters": {"binary_data_output": 1}},
    "classification": {"inputs": [IMAGE], "outputs": [{"name": "logits", "parameters": {"classification": 2}}]},
}
NO_JSON = {
    "nothing": b"",
    "text": b"image",
    "cut": json.dumps(ask_json(b"x")).encode()[:-1],
    "not-utf-8": json.dumps(ask_json(b"x")).encode().replace(b"image", b"imag\xff"),
    "utf-16": json.dumps(ask_json(b"x")).encode("utf-16"),
    "surrogate": b'{"id": "\\ud800", "inputs": []}',
    "nan": json.dumps(ask_json(b"x", parameters={"ours": float("nan")})).encode(),
    "infinity": json.dumps(ask_json(b"x", parameters={"ours": float("-inf")})).encode(),
    "endless-integer": json.dumps(ask_json(b"x")).encode().replace(b"[1]", b"[" + b"9" * 100_000 + b"]"),
    "deep-lists": b"[" * 200_000,
    "deep-objects": b'{"a":' * 200_000,
    "deep-data": b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":' + b"[" * 5000 + b"]" * 5000,
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_is_not_as_the_protocol_says_is_refused(name):
    with pytest.raises(MalformedRequestError):
        read(json.dumps(BAD[name]).encode())


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_such_json_is_refused(name):
    with pytest.raises(MalformedRequestError):
        read(NO_JSON[name])


@pytest.mark.parametrize("length", ["", "-1", "x", "1e2", " 5", "٣", "99999", "9" * 5000, "0", "3"])
def test_a_wrong_length_of_the_json_is_refused(length):
    with pytest.raises(MalformedRequestError):
        read(ask_binary(b"image")["content"], {HEADER_LENGTH: length})


@pytest.mark.parametrize("change", [b"", b"x"])
def test_bytes_behind_the_json_have_to_be_those_announced(change):
    message = ask_binary(b"image")
    content = message["content"] + change if change else message["content"][:-1]
    with pytest.raises(MalformedRequestError):
        read(content, message["headers"])


def test_bytes_behind_a_request_that_announces_none_are_refused():
    with pytest.raises(MalformedRequestError, match="as many bytes behind the JSON"):
        read(**frame(ask_json(b"image"), b"more"))


def test_json_of_more_values_than_memory_is_for_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(inference_message, "from_json", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(MalformedRequestError, match="too many values"):
        read(b"[" + b"[]," * 33_000 + b"[]]")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_arbitrary_json_is_read_or_refused_by_an_error_of_ours(value):
    for request in (value, {"inputs": value}, _with(IMAGE, data=value), _with(IMAGE, shape=value)):
        with suppress(MalformedRequestError):  # [""] is an image, if one of no bytes
            read(json.dumps(request).encode())
