"""What a connection answers by itself: requests that are none, and those that the queue has no place for.

The application is not asked, so that a service with more to do than it can does not spend itself on refusing: a
twentieth of what a prediction takes is a lot where five times as many are asked for as can be judged.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers

from api.errors import PROTOCOL_PATH, ProblemKind, problem_response
from api.logs import read_trace_context
from api.middleware import REQUEST_ID_HEADER, SECURITY_HEADERS, choose_request_id

_QUEUED_ROUTES = {
    **{path: re.compile(re.escape(path)) for path in ("/predict", "/predict/visualize", "/demo/judge")},
    f"{PROTOCOL_PATH}/models/{{name}}/infer": re.compile(rf"{PROTOCOL_PATH}/models/[^/]+/infer"),
    f"{PROTOCOL_PATH}/models/{{name}}/versions/{{version}}/infer": re.compile(
        rf"{PROTOCOL_PATH}/models/[^/]+/versions/[^/]+/infer"
    ),
}

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

    def answer(self, kind: ProblemKind, detail: str, scope: Mapping[str, Any] | None = None) -> bytes:
        """Write the answer as bytes, after which the connection ends; count it and log it.

        Args:
            scope: That of the request; None where no request was understood.
        """
        headers = Headers(raw=scope["headers"]) if scope else Headers()
        request_id = choose_request_id(headers.get(REQUEST_ID_HEADER))
        response = problem_response(request_id, scope["path"] if scope else "", kind, detail)
        self._state.metrics.observe_rejection(kind.code)
        if scope:
            told = {"method": scope["method"], "path": _find_route(scope["path"]), "status": response.status_code}
            self._state.metrics.observe_request(told["method"], told["path"], told["status"], 0.0)
            trace_ids = read_trace_context(headers.get("traceparent"))
            logger.info("refused", extra={**told, "code": kind.code, "request_id": request_id, **trace_ids})
        response.headers.update({**SECURITY_HEADERS, REQUEST_ID_HEADER: request_id, "Connection": "close"})
        status = HTTPStatus(response.status_code)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode("ascii")]
        lines += [name + b": " + value for name, value in response.raw_headers]
        return b"\r\n".join([*lines, b"", bytes(response.body)])


def _find_route(path: str) -> str | None:
    return next((route for route, pattern in _QUEUED_ROUTES.items() if pattern.fullmatch(path)), None)
