"""Requests, well formed and not, and which statuses may come back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

OVERLOADED = frozenset({503, 504})  # may be the response to everything, under load
_BOUNDARY = "load-4f1d"


@dataclass(frozen=True)
class Request:
    """One request of a client.

    Attributes:
        kind: Its row in the table.
        pieces: The bytes to send, in order.
        statuses: Expected ones, beside `OVERLOADED`.
        name: Identifies it among others; a 200 must equal the idle service's response of that name.
        pause_seconds: Between two pieces.
        leave_seconds: The client closes the connection so long after the last piece; None if it stays.
        reads_while_sending: Whether the client heeds a response that comes before it has sent all.
        is_whole: Whether another request may follow on the same connection.
    """

    kind: str
    pieces: Sequence[bytes]
    statuses: frozenset[int] = frozenset({200})
    name: str = ""
    pause_seconds: float = 0.0
    leave_seconds: float | None = None
    reads_while_sending: bool = True
    is_whole: bool = True


def get(path: str, kind: str, *statuses: int) -> Request:
    return Request(kind, (_write_head("GET", path),), frozenset(statuses or (200,)))


def post(path: str, data: bytes, kind: str, *statuses: int, content_type: str = "application/octet-stream") -> Request:
    """Create an upload of `data` as the body."""
    head = _write_head("POST", path, f"Content-Type: {content_type}", f"Content-Length: {len(data)}")
    return Request(kind, (head + data,), frozenset(statuses or (200,)))


def post_form(path: str, data: bytes, kind: str, *statuses: int) -> Request:
    """Create an upload of an image as a form's field, as `curl -F` and browsers send it."""
    part = 'Content-Disposition: form-data; name="file"; filename="scan"\r\nContent-Type: application/octet-stream'
    body = f"--{_BOUNDARY}\r\n{part}\r\n\r\n".encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return post(path, body, kind, *statuses, content_type=f"multipart/form-data; boundary={_BOUNDARY}")


def post_json(path: str, content: object, kind: str, *statuses: int) -> Request:
    return post(path, json.dumps(content).encode(), kind, *statuses, content_type="application/json")


def post_chunks(path: str, chunk: bytes, num_chunks: int, kind: str, *statuses: int) -> Request:
    """Create an upload without a length, of the same chunk again and again."""
    framed = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    head = _write_head("POST", path, "Transfer-Encoding: chunked")
    return Request(kind, (head, *([framed] * num_chunks), b"0\r\n\r\n"), frozenset(statuses))


def announce(path: str, num_bytes: int, sent: bytes, kind: str, *statuses: int) -> Request:
    """Create an upload that announces `num_bytes` and sends only `sent`."""
    head = _write_head("POST", path, f"Content-Length: {num_bytes}")
    return Request(kind, (head + sent,), frozenset(statuses), is_whole=False)


def slow_down(request: Request, kind: str, num_pieces: int, seconds: float) -> Request:
    """Spread a request over `num_pieces` and so many seconds."""
    data = b"".join(request.pieces)
    size = -(-len(data) // num_pieces)
    pieces = tuple(data[start : start + size] for start in range(0, len(data), size))
    return replace(request, kind=kind, pieces=pieces, pause_seconds=seconds / len(pieces))


def cut_off(request: Request, kind: str, part: float, leave_seconds: float) -> Request:
    """Send only a part in [0, 1] of a request, then leave."""
    data = b"".join(request.pieces)
    pieces = (data[: round(len(data) * part)],)
    return replace(request, kind=kind, pieces=pieces, leave_seconds=leave_seconds, is_whole=False)


def _write_head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: load", *headers, "", "")).encode()
