"""Requests of the Open Inference Protocol that the tests write themselves, without any client's help."""

import base64
import json
import struct
from typing import Any

import numpy as np

from model.images.decoded import FloatArray

HEADER_LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/tiny/infer"


def frame(request: object, *binary: bytes) -> dict[str, Any]:
    """The body and header of a request with tensors behind its JSON."""
    text = json.dumps(request).encode()
    return {"content": text + b"".join(binary), "headers": {HEADER_LENGTH: str(len(text))}}


def ask_json(data: bytes, **fields: object) -> dict[str, Any]:
    """A request for one image, in JSON."""
    text = base64.b64encode(data).decode("ascii")
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}], **fields}


def ask_binary(*images: bytes, **fields: object) -> dict[str, Any]:
    """A request for images behind the JSON."""
    packed = b"".join(struct.pack("<I", len(data)) + data for data in images)
    parameters = {"binary_data_size": len(packed)}
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(images)], "parameters": parameters}
    return frame({"inputs": [tensor], **fields}, packed)


def read_outputs(response: Any) -> dict[str, FloatArray]:
    """The tensors of an answer, in the JSON or behind it."""
    length = response.headers.get(HEADER_LENGTH)
    end = len(response.content) if length is None else int(length)
    behind, tensors = response.content[end:], {}
    for output in json.loads(response.content[:end])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(output["data"], np.float32)
        else:
            values, behind = np.frombuffer(behind[:size], "<f4"), behind[size:]
        tensors[output["name"]] = values.reshape(output["shape"])
    assert not behind
    return tensors
