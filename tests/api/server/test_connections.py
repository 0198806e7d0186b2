import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from unittest.mock import Mock

import pytest

from api.server.connections import BoundedProtocol, _LingeringTransport
from tests.samples.phantoms import draw_scan, encode
from tests.service.server import exchange_bytes, read_to_end, running_server

HEAD_SECONDS = 1.0


@pytest.fixture(scope="module")
def port(tiny_pair) -> Iterator[int]:
    with running_server(
        MODEL_PATH=tiny_pair[1],
        HEAD_TIMEOUT_SECONDS=HEAD_SECONDS,
        MAX_CONNECTIONS=20,
        MAX_UPLOAD_BYTES=100_000,
        CORS_ORIGINS="https://viewer.example",
    ) as (_, port):
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def read_problem(response: bytes) -> tuple[int, str]:
    """The status and code of a problem document."""
    lines, _, body = response.partition(b"\r\n\r\n")
    assert b"application/problem+json" in lines
    if lines.split()[1] != b"413":  # of a request whose head was read, without an origin
        assert b"access-control-allow-origin: *" in lines
        assert b"Retry-After" in lines.partition(b"access-control-expose-headers: ")[2]
    problem = json.loads(body)
    assert lines.split()[1] == str(problem["status"]).encode()
    return problem["status"], problem["code"]


def is_alive(port: int) -> bool:
    return b" 200 " in exchange_bytes(port, head("GET /livez", "Connection: close"))


def seconds_until_refused(connection: socket.socket, data: bytes, pause: float) -> float:
    start = time.monotonic()
    with suppress(OSError):  # a reset or a broken pipe
        while time.monotonic() < start + 10:
            connection.sendall(data)
            time.sleep(pause)
    return time.monotonic() - start


def test_a_connection_without_a_request_is_ended(port):
    start = time.monotonic()
    assert exchange_bytes(port, b"") == b""
    assert time.monotonic() - start > HEAD_SECONDS / 2


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /livez HTTP/1.1\r\nHost:", (408, "head_timeout")),
        (b"GET /livez HTTP/1.1\r\n" + b"X-A: %b\r\n" % (b"a" * 100) * 800, (431, "head_too_large")),
        (b"GET /livez HTTP/1.1\r\n" + b"a" * 800_000, (431, "head_too_large")),
        (b"\x16\x03\x01\x02\x00\x01\x00", (400, "malformed_request")),
        (b"HELO mail\r\n\r\n", (400, "malformed_request")),
        (b"GET / SPDY/9\r\n\r\n", (400, "malformed_request")),
        (head("POST /predict", "Content-Length: 900000") + bytes(900_000), (413, "body_too_large")),
    ],
    ids=["slow head", "many lines", "long line", "TLS", "SMTP", "SPDY", "large body"],
)
def test_the_refusal_of_bytes_that_are_no_good_request_can_be_read_and_is_counted(port, sent, expected):
    assert read_problem(exchange_bytes(port, sent)) == expected
    metrics = exchange_bytes(port, head("GET /metrics", "Connection: close")).decode()
    assert f'brain_mri_rejections_total{{code="{expected[1]}"}}' in metrics


def test_a_head_is_as_slow_in_pieces_or_after_another_request(port):
    with connect(port) as connection:
        connection.sendall(head("GET /livez"))
        assert b" 200 " in connection.recv(65536)
        assert seconds_until_refused(connection, b"G", pause=0.1) < 5


def test_trailers_without_end_are_a_431(port):
    with connect(port) as connection:
        connection.sendall(head("POST /predict", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n")
        time.sleep(0.1)
        connection.sendall(b"X-A: aaaaaaaaaaaaaaaaaaaa\r\n" * 4000)
        assert read_problem(read_to_end(connection)) == (431, "head_too_large")


def test_one_client_too_many_is_a_503_and_the_next_is_served_when_others_have_gone(port):
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(port))
        time.sleep(0.2)
        assert read_problem(exchange_bytes(port, b"")) == (503, "too_many_connections")
    time.sleep(0.2)
    assert is_alive(port)


def test_a_body_that_is_refused_before_its_end_is_not_taken_for_ever(port):
    with connect(port) as connection:
        connection.sendall(head("POST /predict", "Transfer-Encoding: chunked"))
        assert seconds_until_refused(connection, b"10000\r\n" + bytes(65536) + b"\r\n", pause=0) < 6


@pytest.mark.parametrize("path", ["/nowhere", "/predict"])
def test_a_response_before_the_end_of_the_body_announces_the_end_of_the_connection(port, path):
    response = exchange_bytes(port, head(f"POST {path}", "Content-Length: 200000") + bytes(1000))
    assert b"connection: close" in response.partition(b"\r\n\r\n")[0].lower()


def test_no_more_than_some_megabytes_are_dropped(port):
    with connect(port) as connection:
        connection.sendall(head("POST /predict", "Content-Length: 1000000000"))
        num_sent = 0
        with suppress(OSError):
            while num_sent < 1_000_000_000:
                num_sent += connection.send(bytes(2**20))
    assert num_sent < 50_000_000


def test_a_client_that_reads_nothing_is_ended_while_others_are_served(port):
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        for _ in range(200):
            connection.sendall(head("GET /openapi.json"))
        assert is_alive(port)


def test_requests_that_come_at_once_are_answered_in_order(port):
    ids = [f"id-{index}" for index in range(30)]
    heads = [head("GET /livez", f"X-Request-ID: {name}") for name in ids[:-1]]
    last = head("GET /livez", f"X-Request-ID: {ids[-1]}", "Connection: close")
    response = exchange_bytes(port, b"".join([*heads, last])).decode()
    assert [line.split()[1] for line in response.splitlines() if line.startswith("x-request-id:")] == ids


@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "body apart"])
def test_a_body_is_read_although_the_client_offers_http_2(port, pause):
    body = encode(draw_scan(80, (0.4, 0.5)), "PNG")
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    with connect(port) as connection:
        connection.sendall(head("POST /predict", *offer, f"Content-Length: {len(body)}"))
        time.sleep(pause)
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_has_reset_the_connection_is_let_go():
    """Until the loop reports the reset the connection looks open, and ending our side of it fails."""
    protocol = Mock()
    protocol.transport.write_eof.side_effect = OSError("Transport endpoint is not connected")
    BoundedProtocol._linger(protocol)
    protocol.transport.abort.assert_called_once_with()
    protocol._start_timer.assert_not_called()


class _Written(list[bytes]):
    """A transport that notes what is written, and its end."""

    def write(self, data: bytes) -> None:
        self.append(data)

    def end(self, _transport: object) -> None:
        self.append(b"end")


def test_head_and_body_are_written_at_once_and_a_head_alone_before_the_end():
    written = _Written()
    transport = _LingeringTransport(written, written.end)  # type: ignore[arg-type]
    transport.hold()
    transport.write(b"head ")
    assert written == []
    transport.write(b"body")
    transport.write(b"more")
    transport.flush()
    assert written == [b"head body", b"more"]
    transport.hold()
    transport.write(b"head")
    transport.close()
    assert written[2:] == [b"head", b"end"]
