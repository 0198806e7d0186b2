import gzip
import tempfile

import numpy as np
import pytest
from starlette.testclient import TestClient

from api.main import create_app
from api.settings import Settings
from tests.api.problems import check_problem
from tests.samples.phantoms import encode


def test_the_file_may_have_any_name_and_type(client, scan):
    for name in ("scan.png", "../../etc/passwd", "ä ö.jpg", "x" * 300):
        assert client.post("/predict", files={"file": (name, scan, "text/plain")}).status_code == 200


def test_other_fields_are_passed_over(client, scan):
    assert client.post("/predict", files={"file": scan}, data={"note": "hello"}).status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"files": {"image": b"x"}},
        {"data": {"file": "text"}, "files": {"other": b"x"}},
        {"files": [("file", b"x"), ("file", b"y")]},
        {"content": b"no parts", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"no parts", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"files": {"file": b""}},
    ],
    ids=["other-name", "text-field", "two-files", "no-boundary", "no-parts", "broken", "empty"],
)
def test_a_form_without_one_file_is_a_400(client, request_):
    check_problem(client.post("/predict", **request_), 400, "malformed_request")


@pytest.mark.parametrize(("path", "right"), [("/predict", "file"), ("/predict/batch", "files")])
def test_a_field_of_another_name_is_named_with_the_right_one(client, scan, path, right):
    detail = client.post(path, files={"image": scan}).json()["detail"]
    assert detail == f"Expected the form field '{right}'; found 'image'."


@pytest.mark.parametrize("path", ["/predict", "/predict/visualize", "/predict/batch", "/v2/models/tiny/infer"])
@pytest.mark.parametrize(
    ("headers", "quoted"),
    [
        ([("Content-Encoding", "gzip")], "gzip"),
        ([("Content-Encoding", "identity, Deflate")], "deflate"),
        ([("Content-Encoding", "identity"), ("Content-Encoding", "br")], "br"),
        ([("Transfer-Encoding", "gzip, chunked")], "gzip"),
        ([("Content-Encoding", "x" * 99)], "x" * 20),
    ],
)
def test_a_compressed_body_is_told_that_compression_is_not_read(client, path, headers, quoted):
    response = client.post(
        path, content=gzip.compress(b"scan"), headers=[("Content-Type", "multipart/form-data; boundary=x"), *headers]
    )
    assert response.status_code == 400
    assert f"not compressed; found {quoted}." in response.text


def test_a_body_that_is_said_not_to_be_compressed_is_read(client, scan):
    assert client.post("/predict", content=scan, headers={"Content-Encoding": "identity"}).status_code == 200


def test_nothing_is_written_to_a_disk(tiny_pair, monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("a temporary file was asked for")

    noise = encode(np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8))
    assert len(noise) > 4_000_000
    with TestClient(create_app(Settings(model_path=tiny_pair[1]))) as client:
        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        assert client.post("/predict", files={"file": noise}).status_code == 200
