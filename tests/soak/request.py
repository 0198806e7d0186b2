"""What is sent, and what may be answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

OVERLOADED = frozenset({503, 504})  # may be the answer to everything, under load
_BOUNDARY = "soak-4f1d"


@dataclass(frozen=True)
class Request:
    """One request of a client, well behaved or not.

    Attributes:
        kind: Its row in the table.
        pieces: What is sent, in order.
        statuses: What may be answered, beside `OVERLOADED`.
        reference: Name of the idle server's answer that a 200 must equal; None if there is none.
        pause_seconds: Between two pieces.
        leave_seconds: The client closes the connection so long after the last piece; None if it stays.
        reads_while_sending: Whether the client heeds an answer that comes before it has sent all.
        is_whole: Whether another request may follow on the same connection.
        name: Of this one among others of its kind, to find it again.
    """

    kind: str
    pieces: Sequence[bytes]
    statuses: frozenset[int] = frozenset({200})
    reference: str | None = None
    pause_seconds: float = 0.0
    leave_seconds: float | None = None
    reads_while_sending: bool = True
    is_whole: bool = True
    name: str = ""


def get(path: str, kind: str, *statuses: int) -> Request:
    """Ask for a page."""
    return Request(kind, (_head("GET", path, {}),), frozenset(statuses or (200,)))


def post(path: str, data: bytes, kind: str, *statuses: int) -> Request:
    """Send an image as the body."""
    head = _head("POST", path, {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))})
    return Request(kind, (head + data,), frozenset(statuses or (200,)))


def post_form(path: str, data: bytes, kind: str, *statuses: int) -> Request:
    """Send an image as the field of a form."""
    part = 'Content-Disposition: form-data; name="file"; filename="scan"\r\nContent-Type: application/octet-stream'
    body = f"--{_BOUNDARY}\r\n{part}\r\n\r\n".encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind_of_form = f"multipart/form-data; boundary={_BOUNDARY}"
    head = _head("POST", path, {"Content-Type": kind_of_form, "Content-Length": str(len(body))})
    return Request(kind, (head + body,), frozenset(statuses or (200,)))


def post_json(path: str, content: object, kind: str, *statuses: int) -> Request:
    """Send a JSON document."""
    body = json.dumps(content).encode()
    head = _head("POST", path, {"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Request(kind, (head + body,), frozenset(statuses or (200,)))


def post_chunks(path: str, chunk: bytes, num_chunks: int, kind: str, *statuses: int) -> Request:
    """Send the same chunk again and again, and no length before."""
    head = _head("POST", path, {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"})
    framed = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    return Request(kind, (head, *([framed] * num_chunks), b"0\r\n\r\n"), frozenset(statuses))


def announce(path: str, num_bytes: int, sent: bytes, kind: str, *statuses: int) -> Request:
    """Announce a body of `num_bytes` and send only `sent`."""
    head = _head("POST", path, {"Content-Type": "application/octet-stream", "Content-Length": str(num_bytes)})
    return Request(kind, (head + sent,), frozenset(statuses), is_whole=False)


def slow_down(request: Request, kind: str, num_pieces: int, seconds: float) -> Request:
    """Send the same in `num_pieces` over so many seconds."""
    data = b"".join(request.pieces)
    size = -(-len(data) // num_pieces)
    pieces = tuple(data[start : start + size] for start in range(0, len(data), size))
    return replace(request, kind=kind, pieces=pieces, pause_seconds=seconds / len(pieces))


def cut_off(request: Request, kind: str, part: float, leave_seconds: float) -> Request:
    """Send only a part in [0, 1] of the same, then leave."""
    data = b"".join(request.pieces)
    return replace(
        request, kind=kind, pieces=(data[: round(len(data) * part)],), leave_seconds=leave_seconds, is_whole=False
    )


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: soak", *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*lines, "", "")).encode()
