import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from unittest.mock import Mock

import pytest

from api.server.connections import BoundedProtocol
from tests.samples.phantoms import draw_scan, encode
from tests.service.server import read_to_end, running_server

HEAD_SECONDS = 1.0


@pytest.fixture(scope="module")
def port(tiny_pair) -> Iterator[int]:
    with running_server(
        MODEL_PATH=tiny_pair[1], HEAD_TIMEOUT_SECONDS=HEAD_SECONDS, MAX_CONNECTIONS=20, MAX_UPLOAD_BYTES=100_000
    ) as (_, port):
        yield port


@contextmanager
def connect(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def read_problem(connection: socket.socket) -> tuple[int, str]:
    """Read to the end of the connection: one answer, a problem document; status and code."""
    head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert head.split()[1] == str(problem["status"]).encode()
    return problem["status"], problem["code"]


def is_alive(port: int) -> bool:
    with connect(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b" 200 " in read_to_end(connection)


def test_a_connection_that_says_nothing_is_ended(port):
    with connect(port) as connection:
        start = time.monotonic()
        assert read_to_end(connection) == b""
        assert time.monotonic() - start > HEAD_SECONDS / 2


def test_a_head_that_does_not_end_in_time_is_a_408(port):
    with connect(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost:")
        assert read_problem(connection) == (408, "head_timeout")


def test_a_slow_head_is_no_better_for_coming_in_pieces_or_later(port):
    with connect(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in connection.recv(65536)
        assert seconds_until_refused(connection, b"G", pause=0.1) < 5


@pytest.mark.parametrize("line", [b"X-A: " + b"a" * 100 + b"\r\n", b"a" * 1000], ids=["many lines", "one line"])
def test_a_head_without_end_is_a_431(port, line):
    with connect(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n" + line * 800)
        assert read_problem(connection) == (431, "head_too_large")


def test_trailers_without_end_are_a_431(port):
    with connect(port) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        time.sleep(0.1)
        connection.sendall(b"X-A: aaaaaaaaaaaaaaaaaaaa\r\n" * 4000)
        assert read_problem(connection) == (431, "head_too_large")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELO mail\r\n\r\n", b"GET / SPDY/9\r\n\r\n"])
def test_what_is_no_http_is_a_400(port, sent):
    with connect(port) as connection:
        connection.sendall(sent)
        assert read_problem(connection) == (400, "malformed_request")


def test_refusals_are_counted(port):
    with connect(port) as connection:
        connection.sendall(b"HELO mail\r\n\r\n")
        read_to_end(connection)
    with connect(port) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'brain_mri_rejections_total{code="malformed_request"}' in read_to_end(connection)


def test_one_client_too_many_is_a_503_and_the_next_is_served_when_others_have_gone(port):
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(port))
        time.sleep(0.2)
        with connect(port) as connection:
            assert read_problem(connection) == (503, "too_many_connections")
    time.sleep(0.2)
    assert is_alive(port)


def test_a_body_that_is_refused_before_its_end_is_not_taken_for_ever(port):
    with connect(port) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        assert seconds_until_refused(connection, chunk, pause=0) < 6


def seconds_until_refused(connection: socket.socket, data: bytes, pause: float) -> float:
    start = time.monotonic()
    with suppress(OSError):  # a reset or a broken pipe
        while time.monotonic() < start + 10:
            connection.sendall(data)
            time.sleep(pause)
    return time.monotonic() - start


@pytest.mark.parametrize("path", [b"/nowhere", b"/predict"])
def test_an_answer_before_the_end_of_the_body_says_that_it_is_the_last(port, path):
    with connect(port) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(1000))
        head, _, _ = read_to_end(connection).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()


def test_no_more_than_some_megabytes_are_dropped(port):
    with connect(port) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        connection.sendall(head)
        num_sent = 0
        with suppress(OSError):
            while num_sent < 1_000_000_000:
                num_sent += connection.send(bytes(2**20))
    assert num_sent < 50_000_000


def test_the_answer_to_a_body_that_is_too_large_can_be_read(port):
    with connect(port) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + bytes(900_000))
        assert read_problem(connection) == (413, "body_too_large")


def test_a_client_that_reads_nothing_is_ended_while_others_are_served(port):
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        for _ in range(200):
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert is_alive(port)


def test_requests_that_come_at_once_are_answered_in_order(port):
    with connect(port) as connection:
        ids = [f"id-{index}" for index in range(30)]
        heads = [f"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: {name}\r\n" for name in ids]
        connection.sendall("\r\n".join([*heads[:-1], heads[-1] + "Connection: close\r\n", ""]).encode())
        answer = read_to_end(connection).decode()
    assert [line.split()[1] for line in answer.splitlines() if line.startswith("x-request-id:")] == ids


@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "body apart"])
def test_a_body_is_read_although_the_client_offers_http_2(port, pause):
    body = encode(draw_scan(80, (0.4, 0.5)), "PNG")
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    with connect(port) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n" % (offer, len(body)))
        time.sleep(pause)
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_has_reset_the_connection_is_let_go():
    """As long as the loop has not told of the reset, the connection looks open, and ending our side of it fails."""
    protocol = Mock()
    protocol.transport.write_eof.side_effect = OSError("Transport endpoint is not connected")
    BoundedProtocol._linger(protocol)
    protocol.transport.abort.assert_called_once_with()
    protocol._start_timer.assert_not_called()
