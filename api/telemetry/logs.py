"""Logs as one JSON object a line: what happened, in which request, and never what was sent.

A record's exception is reduced to its type and place; its text may quote what a client sent.
"""

import logging
import re
import sys
import traceback
import warnings
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from api.settings import LogFormat

_HANDLER = "brain_mri"
# W3C Trace Context, version 00: version - trace id - parent span id - flags; neither id is all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


def configure_logs(level: str, form: LogFormat, stream: TextIO | None = None) -> None:
    """Let every logger of the process write one line a record; a second call replaces the first.

    Args:
        level: The least severity that is written.
        form: "json", or "text" for people.
        stream: By default standard error.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_colors,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _reduce_exception],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.name != _HANDLER] + [handler]
    root.setLevel(level.upper())
    # Remarks of an image's codec are no lines of ours, and Python would keep each of them for ever.
    warnings.filterwarnings("ignore", module="PIL")


def read_trace_context(traceparent: str | None) -> dict[str, str]:
    """Read the ids of a W3C `traceparent` header; none where it is missing or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return {"trace_id": match[1], "parent_span_id": match[2]} if match else {}


def describe_defect(error: BaseException) -> dict[str, str]:
    """Name the type of an exception and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "place": place}


def _drop_colors(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn says everything twice
    return event


def _reduce_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    error = record.exc_info[1] if record is not None and record.exc_info else None
    event.pop("exc_info", None)
    if record is not None:  # the formatter of the standard library would append the text
        record.exc_info = record.exc_text = record.stack_info = None
    return event if error is None else {**event, **describe_defect(error)}
