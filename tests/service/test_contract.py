"""The OpenAPI document says what the service does: schemathesis holds one against the other."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from PIL import Image
from pydantic import SecretStr
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from api.exceptions import DeadlinePassedError, QueueFullError
from api.main import create_app
from api.settings import Settings
from tests.samples.corpus import GREY
from tests.samples.dicoms import make_dicom, make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode
from tests.service.server import ROOT, running_server
from tests.service.triton import ask_binary, ask_json

KEY = "key-of-the-tests-0123456789"
INFER = "/v2/models/{name}/infer"
SCAN = encode(draw_scan(64, (0.4, 0.5)))
BROKEN = {
    "no-bytes": (b"", 400),
    "text": (b"just some text", 415),
    "cut": (SCAN[: len(SCAN) // 2], 422),
    "small": (encode(Image.new("L", (8, 8), 1)), 422),
    "blank": (encode(Image.new("L", (64, 64), 1)), 422),
    "syntax": (make_dicom(GREY, UID("1.2.840.10008.1.2.4.100"), encapsulate([b"ab"])), 422),
    "pixels": (encode(Image.new("1", (30_000, 30_000))), 413),
    "bytes": (bytes(200_001), 413),
}


# Statuses for what breaks the document's rules: its own list, and 413 for too many files.
CONFIGURATION = """[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"""


def test_schemathesis_finds_nothing_in_the_running_service(calibrated_pair, tmp_path):
    # All checks and all kinds of requests. Both ways of sending a key are used, each of which opens by itself.
    keys = ("--header", f"X-API-Key: {KEY}", "--header", f"Authorization: Bearer {KEY}")
    options = ("--checks", "all", "--mode", "all", "--max-examples", "30", "--generation-deterministic", "--no-color")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION, encoding="ascii")
    with running_server(MODEL_PATH=calibrated_pair[1], API_KEYS=KEY, THREADS=1) as (_, port):
        address = f"http://127.0.0.1:{port}"
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", *options, *keys],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.service.contract"},
            capture_output=True,
            check=False,
            timeout=300,
        )
        told = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        metrics = httpx.get(f"{address}/metrics").text
    assert done.returncode == 0, told
    assert "17 selected / 17 total" in told
    for path in ("/predict", "/predict/visualize", "/predict/batch", "/v2/models/{name}/infer"):
        # Real images, bad requests and wrong keys were all among them.
        for status, least in (("200", 20), ("400", 5), ("401", 3)):
            assert _count_requests(metrics, path, status) >= least, (path, status, metrics)


def _count_requests(metrics: str, path: str, status: str) -> int:
    pattern = rf'^http_requests_total{{method="POST",path="{re.escape(path)}",status="{status}"}} (\d+)'
    found = re.search(pattern, metrics, re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.fixture
def app(calibrated_pair) -> FastAPI:
    return create_app(Settings(model_path=calibrated_pair[1], threads=1, max_upload_bytes=200_000))


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/predict", "/predict/visualize"])
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_about_a_broken_image_is_documented(client, path, name):
    body, status = BROKEN[name]
    check_documented(client, "POST", path, status, content=body)
    if name != "bytes":  # a form that is refused while it is sent cannot be looked at again
        check_documented(client, "POST", path, status, files={"file": body})


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_inference_protocol_says_about_a_broken_image_is_documented(client, name):
    body, status = BROKEN[name]
    status = 415 if name == "no-bytes" else status
    check_documented(client, "POST", INFER, status, json=ask_json(body))


def test_what_the_inference_protocol_says_about_bad_requests_and_models_is_documented(client):
    check_documented(client, "POST", INFER, 400, json={})
    check_documented(client, "POST", INFER, 404, model="unicorn", json={})
    check_documented(client, "GET", "/v2/models/{name}", 404, model="unicorn")
    check_documented(client, "POST", INFER, 200, **ask_binary(SCAN, outputs=[{"name": "cam"}]))
    wanted = {"parameters": {"binary_data_output": True}}
    check_documented(client, "POST", INFER, 200, json=ask_json(SCAN, **wanted))


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_about_a_broken_image_of_a_batch_is_documented(client, name):
    check_documented(client, "POST", "/predict/batch", 200, files=[("files", SCAN), ("files", BROKEN[name][0])])


def test_what_is_said_about_a_broken_batch_is_documented(client):
    check_documented(client, "POST", "/predict/batch", 400, content=SCAN)
    check_documented(client, "POST", "/predict/batch", 413, files=[("files", SCAN)] * 33)


def test_pictures_of_every_format_and_their_absence_are_documented(client):
    for accept in ("image/png", "image/webp", "image/jpeg"):
        headers = {"accept": accept}
        check_documented(client, "POST", "/predict/visualize", 200, content=SCAN, headers=headers)
    view = {"view": "evidence"}
    check_documented(client, "POST", "/predict/visualize", 406, params=view, content=SCAN, headers=headers)


def test_dicom_answers_and_their_absence_are_documented(client):
    for accept in ("application/dicom", "multipart/related"):
        headers = {"accept": accept}
        check_documented(client, "POST", "/predict/visualize", 200, content=make_study(GREY), headers=headers)
        check_documented(client, "POST", "/predict/visualize", 406, content=SCAN, headers=headers)


def test_what_is_said_about_an_unknown_frame_is_documented(client):
    for path in ("/predict", "/predict/visualize"):
        check_documented(client, "POST", path, 400, params={"frame": 2}, content=make_dicom(GREY))
    check_documented(client, "POST", "/predict/batch", 200, params={"frame": 2}, files=[("files", make_dicom(GREY))])


def test_what_is_said_about_an_unknown_class_is_documented(client):
    check_documented(client, "POST", "/predict/visualize", 400, params={"target": "unicorn"}, content=SCAN)


@pytest.mark.parametrize(
    ("error", "status"), [(QueueFullError("full"), 503), (DeadlinePassedError("late"), 504), (ZeroDivisionError(), 500)]
)
def test_what_an_overloaded_or_failing_service_says_is_documented(client, monkeypatch, error, status):
    async def fail(_call, _watch):
        raise error

    monkeypatch.setattr(client.app.state.service.queue, "run_steps", fail)
    for path in ("/predict", "/predict/visualize"):
        check_documented(client, "POST", path, status, content=SCAN)
    check_documented(client, "POST", INFER, status, json=ask_json(SCAN))


def test_what_a_stopping_service_says_is_documented(client):
    client.app.state.draining = True
    for method, path in (("POST", "/predict"), ("GET", "/readyz"), ("GET", "/health"), ("GET", "/model")):
        check_documented(client, method, path, 503, content=SCAN if method == "POST" else None)


def test_what_a_service_without_a_model_says_is_documented(app):
    client = TestClient(app)
    for method, path in (("POST", "/predict"), ("GET", "/readyz"), ("GET", "/health"), ("GET", "/model")):
        check_documented(client, method, path, 503, content=SCAN if method == "POST" else None)


def test_what_is_said_about_a_missing_key_is_documented(calibrated_pair):
    app = create_app(Settings(model_path=calibrated_pair[1], api_keys=SecretStr(KEY)))
    with TestClient(app) as client:
        for method, path in (
            ("POST", "/predict"),
            ("POST", "/predict/visualize"),
            ("POST", "/predict/batch"),
            ("GET", "/model"),
        ):
            check_documented(client, method, path, 401, content=SCAN if method == "POST" else None)


def test_the_document_names_the_classes_and_asks_for_a_key_only_where_one_is_needed(client, calibrated_pair):
    document = client.get("/openapi.json").json()
    (target, *_) = document["paths"]["/predict/visualize"]["post"]["parameters"]
    assert target["schema"]["enum"] == [*CLASSES, None]
    assert "security" not in str(document)

    app = create_app(Settings(model_path=calibrated_pair[1], api_keys=SecretStr(KEY)))
    guarded = {path for path, methods in app.openapi()["paths"].items() if "security" in str(methods)}
    models = {
        f"/v2/models/{{name}}{part}" for part in ("", "/infer", "/versions/{version}", "/versions/{version}/infer")
    }
    assert guarded == {"/predict", "/predict/visualize", "/predict/batch", "/model", *models}


def check_documented(
    client: TestClient, method: str, path: str, status: int, *, model: str = "tiny", **request: Any
) -> None:
    """Apply every check of schemathesis to one answer, save for those that want another status.

    `path` is that of the document, of which `model` may be a part.
    """
    response = client.request(method, path.format(name=model), **request)
    assert response.status_code == status, response.text
    operation = schemathesis.openapi.from_dict(cast(FastAPI, client.app).openapi())[path][method]
    excluded: list[Any] = [not_a_server_error, positive_data_acceptance]
    operation.Case(path_parameters={"name": model}).validate_response(response, excluded_checks=excluded)
