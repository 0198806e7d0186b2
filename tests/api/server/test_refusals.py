import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from api.queue import InferenceQueue
from api.server.address import take_address
from api.server.server import DrainingServer
from tests.service.server import read_to_end, wait_until_ready

PATHS = ("/predict", "/predict/visualize", "/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer")


@pytest.fixture(scope="module")
def port(settings) -> Iterator[int]:
    """Where the service listens."""
    server = DrainingServer(settings)
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


def send(port: int, data: bytes) -> bytes:
    """Send bytes and read until the other side ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        return read_to_end(connection)


def read_metrics(port: int) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


@pytest.mark.parametrize("path", PATHS)
def test_a_full_queue_refuses_at_the_head_and_ends_the_connection(port, full, path):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX-Request-ID: mine\r\n\r\n"
    answer, _, body = send(port, head.encode() + bytes(10)).decode().lower().partition("\r\n\r\n")
    assert answer.startswith("http/1.1 503 service unavailable\r\n")
    for header in ("retry-after: 1", "connection: close", "x-request-id: mine", "x-content-type-options: nosniff"):
        assert header in answer.split("\r\n")
    assert f"content-length: {len(body)}" in answer
    problem = json.loads(body)
    assert (problem.keys() == {"error"}) if path.startswith("/v2") else (problem["code"] == "queue_full")


@pytest.mark.parametrize("path", PATHS)
def test_such_refusals_are_counted_by_their_route(port, full, path):
    send(port, f"POST {path}?target=a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n".encode())
    template = path.replace("/tiny", "/{name}").replace("/1/", "/{version}/")
    metrics = read_metrics(port)
    assert f'http_requests_total{{method="POST",path="{template}",status="503"}}' in metrics
    assert 'brain_mri_rejections_total{code="queue_full"}' in metrics


@pytest.mark.parametrize("line", ["GET /livez", "POST /predict"])
def test_the_first_of_two_request_ids_is_taken(port, full, line):
    head = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: one\r\nX-Request-ID: two\r\n\r\n"
    assert b"x-request-id: one\r\n" in send(port, head.encode()).lower()


@pytest.mark.parametrize("line", ["GET /livez", "GET /predict", "POST /nowhere", "GET /model"])
def test_a_full_queue_refuses_nothing_else(port, full, line):
    assert b" 503 " not in send(port, f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


def test_earlier_requests_of_a_connection_get_their_responses_and_later_ones_none(port, full):
    ask = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    refused = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nscan"
    answers = send(port, (ask + ask + refused + ask + refused).encode())
    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"200", b"200", b"503"]


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"scan")
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")
