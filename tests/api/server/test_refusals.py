import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from api.queue import InferenceQueue
from api.server.address import take_address
from api.server.refusals import _Allowance
from api.server.server import DrainingServer
from tests.service.server import exchange_bytes, wait_until_ready

ORIGIN = "https://viewer.example"
PATHS = ("/predict", "/predict/visualize", "/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer")


@pytest.fixture(scope="module")
def port(settings) -> Iterator[int]:
    """Where the service listens."""
    server = DrainingServer(settings.model_copy(update={"cors_origins": ORIGIN}))
    with take_address(settings.model_copy(update={"port": 0})) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        wait_until_ready(listener.getsockname()[1])
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def full(monkeypatch) -> None:
    monkeypatch.setattr(InferenceQueue, "is_full", True)


@pytest.mark.parametrize("path", PATHS)
def test_a_full_queue_refuses_at_the_head_logs_and_counts_it_and_ends_the_connection(port, full, caplog, path):
    fields = f"Host: x\r\nContent-Length: 1000\r\nX-Request-ID: mine\r\nOrigin: {ORIGIN}"
    head = f"POST {path}?target=a HTTP/1.1\r\n{fields}\r\n\r\n"
    with caplog.at_level("INFO"):
        response = exchange_bytes(port, head.encode() + bytes(10))
    lines, _, body = response.decode().lower().partition("\r\n\r\n")
    assert lines.startswith("http/1.1 503 service unavailable\r\n")
    for header in (
        "retry-after: 1",
        "connection: close",
        "x-request-id: mine",
        "x-content-type-options: nosniff",
        f"access-control-allow-origin: {ORIGIN}",
    ):
        assert header in lines.split("\r\n")
    assert f"content-length: {len(body)}" in lines
    problem = json.loads(body)
    assert (problem.keys() == {"error"}) if path.startswith("/v2") else (problem["code"] == "queue_full")

    route = path.replace("/tiny", "/{name}").replace("/1/", "/{version}/")
    (record,) = (record for record in caplog.records if record.message == "refused")
    assert (record.path, record.status, record.code) == (route, 503, "queue_full")
    metrics = exchange_bytes(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    assert f'http_requests_total{{method="POST",path="{route}",status="503"}}' in metrics
    assert 'brain_mri_rejections_total{code="queue_full"}' in metrics


def test_beyond_some_a_second_refusals_are_held_and_those_for_which_there_is_room_by_then_are_served(
    port, full, monkeypatch
):
    monkeypatch.setattr("api.server.refusals.HOLD_SECONDS", 0.4)
    allowed = iter([True, False, False])
    monkeypatch.setattr("api.server.refusals._Allowance.take", lambda _: next(allowed))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    begin = time.monotonic()
    assert exchange_bytes(port, head).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - begin < 0.4
    begin = time.monotonic()
    assert exchange_bytes(port, head).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - begin >= 0.4
    threading.Timer(0.1, monkeypatch.setattr, (InferenceQueue, "is_full", False)).start()
    closing = head.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert exchange_bytes(port, closing).startswith(b"HTTP/1.1 400 ")  # served: it has no image


def test_the_allowance_is_that_of_a_second():
    async def take() -> list[bool]:
        loop, now = asyncio.get_running_loop(), 10.0
        loop.time = lambda: now  # type: ignore[method-assign]
        allowance = _Allowance(2)
        found = [allowance.take() for _ in range(3)]
        now = 11.5
        return [*found, allowance.take()]

    assert asyncio.run(take()) == [True, True, False, True]


@pytest.mark.parametrize("line", ["GET /livez", "POST /predict"])
def test_the_first_of_two_request_ids_is_taken(port, full, line):
    head = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: one\r\nX-Request-ID: two\r\n\r\n"
    assert b"x-request-id: one\r\n" in exchange_bytes(port, head.encode()).lower()


@pytest.mark.parametrize("line", ["GET /livez", "GET /predict", "POST /nowhere", "GET /model"])
def test_a_full_queue_refuses_nothing_else(port, full, line):
    head = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b" 503 " not in exchange_bytes(port, head.encode())


def test_earlier_requests_of_a_connection_get_their_responses_and_later_ones_none(port, full):
    served = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    refused = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nscan"
    responses = exchange_bytes(port, served + served + refused + served + refused)
    assert re.findall(rb"HTTP/1.1 (\d+) ", responses) == [b"200", b"200", b"503"]


def test_a_response_to_head_has_no_body_in_the_way_of_the_next(port):
    asked = (
        b"HEAD /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2
        + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    heads = exchange_bytes(port, asked).split(b"HTTP/1.1 200 OK\r\n")
    assert [head.partition(b"\r\n\r\n")[2] for head in heads] == [b"", b"", b"", b'{"status":"alive"}']


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"scan")
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")
