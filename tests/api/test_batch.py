import asyncio
import json
import logging
import threading
import time
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from api.exceptions import DeadlinePassedError
from api.main import create_app
from tests.api.problems import PROBLEM_FIELDS, check_problem
from tests.api.telemetry.test_metrics import read, value
from tests.samples.corpus import GREY
from tests.samples.dicoms import make_dicom
from tests.samples.phantoms import draw_scan, encode

PATH = "/predict/batch"
BROKEN = [
    (b"", 400, "malformed_request"),
    (b"just some text", 415, "unsupported_format"),
    (encode(draw_scan(100))[:2000], 422, "damaged_image"),
    (encode(Image.new("L", (64, 64), 1)), 422, "blank_image"),
    (encode(Image.new("1", (30_000, 30_000))), 413, "too_many_pixels"),
    (bytes(200_001), 413, "body_too_large"),
]


def post(client, images, **options):
    return client.post(PATH, files=[("files", (f"Jane-{image[:1]!r}.png", image)) for image in images], **options)


def test_each_image_gets_the_answer_it_would_get_alone(calibrated_client):
    scans = [encode(draw_scan(80, (x, 0.5))) for x in (0.3, 0.4, 0.5, 0.6, 0.7)]
    answer = post(calibrated_client, scans).json()
    alone = [calibrated_client.post("/predict", content=scan).json() for scan in scans]
    assert [item["index"] for item in answer["results"]] == list(range(5))
    for item, expected in zip(answer["results"], alone, strict=True):
        assert item["problem"] is None
        found = item["prediction"]
        assert set(found) == set(expected) - {"request_id", "disclaimer"}
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
        assert found["prediction_set"] == expected["prediction_set"]
        assert found["input"] == expected["input"]
    assert answer["model"] == alone[0]["model"]
    assert "Research use only" in answer["disclaimer"]


def test_dicom_is_classified_and_a_frame_is_that_of_each(client):
    frames = make_dicom(GREY, raw=GREY.tobytes() * 3, NumberOfFrames=3)
    first, second = post(client, [frames, make_dicom(GREY)], params={"frame": 2}).json()["results"]
    assert (first["prediction"]["input"]["frame"], first["prediction"]["input"]["num_frames"]) == (2, 3)
    assert second["problem"]["code"] == "unknown_frame"


@pytest.mark.parametrize(("body", "status", "code"), BROKEN, ids=[code for _, _, code in BROKEN])
def test_a_bad_image_is_a_problem_of_its_own(client, scan, body, status, code):
    response = post(client, [scan, body, scan], headers={"x-request-id": "abc"})
    assert response.status_code == 200
    first, second, third = response.json()["results"]
    assert first["prediction"]["probabilities"] == third["prediction"]["probabilities"]
    assert second["prediction"] is None
    problem = second["problem"]
    assert set(problem) == PROBLEM_FIELDS
    assert (problem["status"], problem["code"]) == (status, code)
    assert (problem["instance"], problem["request_id"]) == (PATH, "abc")


def test_a_defect_in_one_image_is_told_without_its_text(client, scan, monkeypatch, caplog):
    classifier = client.app.state.service.classifier
    predict = classifier.predict_in_steps

    def fail(image, frame):
        if image == b"bad":
            raise ZeroDivisionError("secret patient name")
        return (yield from predict(image, frame))

    monkeypatch.setattr(classifier, "predict_in_steps", fail)
    response = post(client, [scan, b"bad"])
    first, second = response.json()["results"]
    assert first["prediction"]
    assert (second["problem"]["status"], second["problem"]["code"]) == (500, "internal_error")
    assert "secret" not in response.text + caplog.text
    assert any(record.getMessage() == "defect" for record in caplog.records)


def test_neither_the_answer_nor_the_log_holds_a_file_s_name(client, scan, caplog):
    with caplog.at_level(logging.DEBUG, "api"):
        text = post(client, [scan, b"x"]).text
    assert "Jane" not in text
    assert not any("Jane" in str(vars(record)) for record in caplog.records if record.name.startswith("api"))


def test_answers_about_patients_are_not_to_be_stored(client, scan):
    assert post(client, [scan]).headers["cache-control"] == "no-store"


def test_every_item_is_counted(client, scan):
    post(client, [scan, b"x", scan, b"y", scan])
    samples = read(client)
    assert value(samples, "http_requests_total", method="POST", path=PATH, status="200") == 1
    assert value(samples, "brain_mri_rejections_total", code="unsupported_format") == 2
    assert value(samples, "brain_mri_confidence_count") == 3
    assert value(samples, "brain_mri_queue_seconds_count") == 3


@pytest.mark.parametrize(
    "request_",
    [
        {"files": {"file": b"x"}},
        {"files": {"other": b"x"}, "data": {"files": "text"}},
        {"files": {"files": b"x"}, "data": {"files": "text"}},
        {"content": b"x"},
        {"content": b"no parts", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ],
    ids=["other-name", "text-field", "text-beside-a-file", "raw", "no-parts"],
)
def test_a_body_without_files_is_a_400(client, request_):
    check_problem(client.post(PATH, **request_), 400, "malformed_request")


def test_one_file_too_many_is_a_413(settings, scan):
    with TestClient(create_app(settings.model_copy(update={"max_batch": 3}))) as client:
        assert len(post(client, [scan] * 3).json()["results"]) == 3
        check_problem(post(client, [scan] * 4), 413, "too_many_files")
        schema = client.get("/openapi.json").json()["paths"][PATH]["post"]["requestBody"]["content"]
    assert schema["multipart/form-data"]["schema"]["properties"]["files"]["maxItems"] == 3


def test_a_batch_has_its_own_limit_on_bytes(settings, scan):
    limits = {"max_upload_bytes": len(scan) + 1000, "max_batch_bytes": 4 * len(scan)}
    with TestClient(create_app(settings.model_copy(update=limits))) as client:
        assert all(item["prediction"] for item in post(client, [scan] * 3).json()["results"])
        check_problem(post(client, [scan] * 5), 413, "body_too_large")
        check_problem(client.post("/predict", content=bytes(2 * len(scan))), 413, "body_too_large")


def test_few_images_of_a_batch_are_in_the_queue_at_once(client, scan):
    depths: list[int] = []
    client.app.state.service.queue.add_depth_listener(depths.append)
    post(client, [scan] * 12)
    assert max(depths) <= 2
    assert depths[-1] == 0


def test_a_batch_waits_for_places_where_the_queue_is_full(settings, scan):
    app = create_app(settings.model_copy(update={"max_queue": 1, "threads": 1}))
    with TestClient(app) as client:
        queue, release = app.state.service.queue, threading.Event()
        assert client.portal is not None
        client.portal.start_task_soon(queue.run, release.wait)
        threading.Timer(0.3, release.set).start()
        time.sleep(0.05)
        check_problem(client.post("/predict", content=scan), 503, "queue_full")
        assert all(item["prediction"] for item in post(client, [scan] * 5).json()["results"])


def test_an_image_whose_turn_comes_too_late_is_a_problem(client, scan, monkeypatch):
    async def fail(_call, _watch):
        raise DeadlinePassedError("late")

    monkeypatch.setattr(client.app.state.service.queue, "run_patiently", fail)
    (item,) = post(client, [scan]).json()["results"]
    assert item["problem"]["code"] == "deadline_passed"


def test_the_images_of_a_client_that_has_gone_are_not_classified(settings, scan, monkeypatch):
    """The client leaves while the first images are classified."""
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + scan + b"\r\n" for _ in range(20)
    )
    sent: list[dict[str, Any]] = []
    classified: list[bytes] = []

    async def scenario():
        app = create_app(settings)
        parts = [{"type": "http.request", "body": body + b"--x--\r\n", "more_body": False}]
        began = threading.Event()

        async def receive():
            if parts:
                return parts.pop()
            await asyncio.to_thread(began.wait, 10)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        async with app.router.lifespan_context(app):

            def classify(image, _frame):
                classified.append(image)
                began.set()
                time.sleep(0.1)
                raise ZeroDivisionError
                yield

            monkeypatch.setattr(app.state.service.classifier, "predict_in_steps", classify)
            head = [(b"content-type", b"multipart/form-data; boundary=x")]
            scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
            await app({**scope, "headers": head, "state": {}}, receive, send)

    asyncio.run(scenario())
    assert len(classified) <= 4
    assert json.loads(sent[1]["body"])["code"] == "client_gone"
