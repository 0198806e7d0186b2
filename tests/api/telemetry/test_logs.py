import io
import json
import logging
import re
import time
from enum import Enum
from http import HTTPStatus

import pytest
from starlette.testclient import TestClient

from api.telemetry.logs import configure_logs, read_trace_context
from model.reliability.reliability import Level

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def stream():
    """The stream of the logs; the loggers are restored after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lines(stream):
    """Everything logged since, as JSON."""
    configure_logs("debug", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_its_ids(client, scan, lines):
    headers = {"x-request-id": "abc", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    client.post("/predict/visualize?target=glioma", content=scan, headers=headers)
    (line,) = (line for line in lines() if line["event"] == "request")
    assert line["request_id"] == "abc"
    assert (line["trace_id"], line["parent_span_id"]) == (TRACE, SPAN)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict/visualize", 200)
    assert line["seconds"] > 0
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_a_refusal_names_its_code_and_not_what_was_sent(client, lines):
    client.post("/predict", files={"file": ("Jane Doe 1970.png", b"secret bytes")}, headers={"x-request-id": "r1"})
    found = lines()
    (refused,) = (line for line in found if line["event"] == "refused")
    assert (refused["code"], refused["request_id"]) == ("unsupported_format", "r1")
    assert not any("Jane" in str(line) or "secret" in str(line) for line in found)


def test_a_defect_is_logged_by_type_and_place(app, lines):
    @app.get("/defect")
    async def defect():
        raise ZeroDivisionError("secret patient name")

    with TestClient(app) as client:
        client.get("/defect?name=Jane")
    found = lines()
    (line,) = (line for line in found if line["event"] == "defect")
    assert line["error"] == "ZeroDivisionError"
    assert "test_logs.py:" in line["place"]
    assert not any("secret" in str(each) or "Jane" in str(each) for each in found if each["logger"].startswith("api"))


def test_the_text_of_any_logged_exception_stays_out(lines):
    try:
        raise ValueError("secret patient name")
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
    (line,) = lines()
    assert (line["event"], line["error"], line["level"]) == ("it failed", "ValueError", "error")
    assert "secret" not in str(line)


def test_probes_are_quiet(client, lines, stream):
    configure_logs("info", "json", stream)
    client.get("/readyz")
    client.get("/nowhere")
    paths = [line["path"] for line in lines() if line["event"] == "request"]
    assert paths == [None]


def test_text_is_one_line_for_people_with_a_status_as_a_number(stream):
    configure_logs("info", "text", stream)
    logging.getLogger("api").info("hello\n %s", "world", extra={"status": HTTPStatus.NOT_FOUND})
    assert stream.getvalue().endswith("Z [info] hello world [api] status=404\n")


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (HTTPStatus.NOT_FOUND, "404"),
        (Level.REQUIRED, "required"),
        (Colour.RED, "red"),
        ([Colour.RED, (Level.NONE,)], "none"),
        ({Colour.RED: HTTPStatus.OK}, "200"),
    ],
)
def test_enumerated_values_are_written_as_what_they_stand_for(stream, form, value, text):
    configure_logs("info", form, stream)
    logging.getLogger("api").info("hello", extra={"field": value})
    line = stream.getvalue()
    assert text in line.partition("field")[2]
    assert not re.search("[<>]|HTTPStatus|Level|Colour", line)


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_of_a_service_shows_a_name_of_ours(client, scan, stream, form):
    configure_logs("debug", form, stream)
    client.post("/predict", content=scan)
    for method, path, options in (
        ("POST", "/predict", {"params": {"frame": "x"}}),
        ("POST", "/predict", {"content": b"x"}),
        ("GET", "/predict", {}),
        ("GET", "/nowhere", {}),
        ("POST", "/predict/batch", {"files": [("files", b"x")]}),
    ):
        assert client.request(method, path, **options).status_code in (200, 400, 404, 405, 415)
    assert not re.search(r"HTTPStatus|<\w+\.", stream.getvalue() + client.get("/metrics").text)


def test_an_event_that_repeats_writes_some_lines_and_then_how_many_were_left_out(lines, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for second in (0, 30, 90):
        now = 1000.0 + second
        for number in range(500):
            logging.getLogger("asyncio").error("no more files %d", number)
    logging.getLogger("asyncio").error("another event")
    found = lines()
    assert len(found) == 10 + 10 + 1
    assert "others are left out" in found[9]["repeated"]
    assert found[10]["left_out"] == 990


def test_every_request_has_its_line_however_many_there_are(client, lines):
    for _ in range(30):
        client.get("/nowhere")
    assert sum(line["event"] == "request" for line in lines()) == 30


@pytest.mark.parametrize(
    "header", [None, "x", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01"]
)
def test_a_malformed_trace_is_left_out(header):
    assert read_trace_context(header) == {}


def test_the_servers_own_lines_say_everything_once(lines):
    logging.getLogger("uvicorn.error").info("Started [%d]", 7, extra={"color_message": "Started [\x1b[36m%d\x1b[0m]"})
    (line,) = lines()
    assert line["event"] == "Started [7]"
    assert "color_message" not in line
