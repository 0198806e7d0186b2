"""What a connection answers by itself: requests that are none, and those that the queue has no place for.

The application is not asked, so that a service with more to do than it can does not spend itself on refusing: a
fortieth of what a prediction takes is a lot where five times as many are asked for as can be judged. What is done
rarely, and between other things, takes four times as long as in a loop, because no cache holds it: so it is done by
little code.
"""

import logging
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.errors import QUEUE_FULL, ProblemKind, problem_response
from api.exceptions import PROTOCOL_PATH, QUEUE_FULL_DETAIL
from api.middleware import REQUEST_ID_HEADER, SECURITY_HEADERS, choose_request_id
from api.telemetry.logs import read_trace_context

_QUEUED_ROUTES = {
    **{path: re.compile(re.escape(path)) for path in ("/predict", "/predict/visualize")},
    f"{PROTOCOL_PATH}/models/{{name}}/infer": re.compile(rf"{PROTOCOL_PATH}/models/[^/]+/infer"),
    f"{PROTOCOL_PATH}/models/{{name}}/versions/{{version}}/infer": re.compile(
        rf"{PROTOCOL_PATH}/models/[^/]+/versions/[^/]+/infer"
    ),
}

_REQUEST_ID = REQUEST_ID_HEADER.lower().encode("ascii")
_PLACEHOLDER = uuid.uuid4().hex  # as long as the ids that we make ourselves

logger = logging.getLogger(__name__)


class Refusals:
    """Knows what is refused without the application, and tells it as the application would have."""

    def __init__(self, app: FastAPI) -> None:
        """Speak for `app`; refusals are counted in its metrics."""
        self._state = app.state

    def finds_queue_full(self, scope: Mapping[str, Any]) -> bool:
        """Tell, before anything is spent on it, that a request for a prediction would be refused in the end."""
        service = getattr(self._state, "service", None)
        if service is None or not service.queue.is_full or self._state.draining:
            return False
        return scope["method"] == "POST" and _find_route(scope["path"]) is not None

    def answer_full(self, scope: Mapping[str, Any]) -> bytes:
        """Write the answer to a request that the queue has no place for; count it and log it."""
        headers = dict(reversed(scope["headers"]))  # of two the first, as the application takes it
        request_id = choose_request_id(headers.get(_REQUEST_ID, b"").decode("latin-1"))
        path, route, status = scope["path"], _find_route(scope["path"]), int(QUEUE_FULL.status)
        self._state.metrics.observe_rejection(QUEUE_FULL.code)
        self._state.metrics.observe_request(scope["method"], route, status, 0.0)
        if logger.isEnabledFor(logging.INFO):
            told = {"method": scope["method"], "path": route, "status": status, "code": QUEUE_FULL.code}
            trace_ids = read_trace_context(headers.get(b"traceparent", b"").decode("latin-1"))
            logger.info("refused", extra={**told, "request_id": request_id, **trace_ids})
        if len(request_id) != len(_PLACEHOLDER):
            return _render(QUEUE_FULL, QUEUE_FULL_DETAIL, path, request_id)
        return request_id.encode("ascii").join(_render_full(path))

    def answer(self, kind: ProblemKind, detail: str) -> bytes:
        """Write the answer to what has not become a request, and count it."""
        self._state.metrics.observe_rejection(kind.code)
        return _render(kind, detail, "", choose_request_id(None))


@lru_cache(maxsize=64)
def _find_route(path: str) -> str | None:
    return next((route for route, pattern in _QUEUED_ROUTES.items() if pattern.fullmatch(path)), None)


@lru_cache(maxsize=64)
def _render_full(path: str) -> tuple[bytes, ...]:
    """Write what comes before, between and after the places of the request's id."""
    return tuple(_render(QUEUE_FULL, QUEUE_FULL_DETAIL, path, _PLACEHOLDER).split(_PLACEHOLDER.encode("ascii")))


def _render(kind: ProblemKind, detail: str, path: str, request_id: str) -> bytes:
    """Write an answer after which the connection ends."""
    response = problem_response(request_id, path, kind, detail)
    response.headers.update({**SECURITY_HEADERS, REQUEST_ID_HEADER: request_id, "Connection": "close"})
    status = HTTPStatus(response.status_code)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode("ascii")]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
