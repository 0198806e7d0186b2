"""Logs: one record a line, JSON or text, with the ids of its request and never what was sent."""

import json
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, TextIO

from api.settings import LogFormat
from api.telemetry.repetitions import RepetitionLimit

_HANDLER = "brain_mri"
_JSON = json.JSONEncoder(ensure_ascii=False, default=repr)
_HEAD = ("timestamp", "level", "event", "logger")
# uvicorn repeats its messages in `color_message`.
_NO_EXTRAS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"})
# W3C Trace Context, version 00: version - trace id - parent span id - flags; neither id is all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_request_ids: ContextVar[Mapping[str, str]] = ContextVar("request_ids", default=MappingProxyType({}))


class LineFormatter(logging.Formatter):
    """Writes a record as one line; an exception is reduced to its type and place, as its text may quote a client."""

    def __init__(self, form: LogFormat) -> None:
        """Write JSON, or text for people."""
        super().__init__()
        self._write = _JSON.encode if form == "json" else _write_text

    def format(self, record: logging.LogRecord) -> str:
        """Write the message, its extras and the ids of the request."""
        error = record.exc_info[1] if record.exc_info else None
        return self._write(
            {
                "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage(),
                **{name: _simplify(value) for name, value in vars(record).items() if name not in _NO_EXTRAS},
                **_request_ids.get(),
                **(describe_defect(error) if error else {}),
            }
        )


def configure_logs(level: str, form: LogFormat, stream: TextIO | None = None) -> None:
    """Let every logger of the process write one line a record; a second call replaces the first.

    Of an event that is not about a request, at most some lines a minute are written; see `RepetitionLimit`.

    Args:
        level: The least severity that is written.
        form: "json", or "text" for people.
        stream: By default standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(LineFormatter(form))
    limit = RepetitionLimit()
    handler.addFilter(lambda record: _is_about_request(record) or limit.admits(record))
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if other.name != _HANDLER), handler]
    root.setLevel(level.upper())
    # Warnings about single images would fill the log, and Python would keep each of them for ever.
    warnings.filterwarnings("ignore", module="PIL")


@contextmanager
def log_request_ids(request_id: str, **trace_ids: str) -> Iterator[None]:
    """Add ids to every record that is logged in this context."""
    token = _request_ids.set({"request_id": request_id, **trace_ids})
    try:
        yield
    finally:
        _request_ids.reset(token)


def read_trace_context(traceparent: str | None) -> dict[str, str]:
    """Read the ids of a W3C `traceparent` header; none where it is missing or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return {"trace_id": match[1], "parent_span_id": match[2]} if match else {}


def describe_defect(error: BaseException) -> dict[str, str]:
    """Name the type of an exception and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "place": place}


def _is_about_request(record: logging.LogRecord) -> bool:
    """Tell our own lines about a request, of which each has a few, from all others."""
    return bool(_request_ids.get()) and record.name.startswith("api.")


def _simplify(value: Any) -> Any:
    """Replace enumerated values, whose names are ours, by what they stand for."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {_simplify(key): _simplify(each) for key, each in value.items()}
    return [_simplify(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else value


def _write_text(fields: dict[str, Any]) -> str:
    """Write what people read first; runs of white space become one space, so that it stays one line."""
    head = "{timestamp} [{level}] {event} [{logger}]".format_map(fields)
    pairs = [f"{name}={value}" for name, value in fields.items() if name not in _HEAD]
    return " ".join(" ".join([head, *pairs]).split())
