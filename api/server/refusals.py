"""Refuses predictions at their request's head while the queue is full, ahead of FastAPI and its middleware.

At five times overload, even 2.5 % of a prediction per refusal matters, and clients that ask again at once would be
refused thousands of times a second. So only some refusals a second are immediate, as a load balancer needs them: the
other requests are held for a moment, head read and body not, and then served where there is room by now.
"""

import asyncio
import logging
import re
from functools import lru_cache

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.cors import allow_any_origin, allow_origins
from api.errors import QUEUE_FULL, ProblemKind, problem_response
from api.exceptions import PROTOCOL_PATH, QUEUE_FULL_DETAIL
from api.middleware import REQUEST_ID_HEADER, SECURITY_HEADERS, choose_request_id
from api.settings import Settings
from api.telemetry.logs import log_request_ids, read_trace_context

_MODEL_PATH = f"{PROTOCOL_PATH}/models"
_QUEUED_ROUTES = {
    "/predict": re.compile("/predict"),
    "/predict/visualize": re.compile("/predict/visualize"),
    f"{_MODEL_PATH}/{{name}}/infer": re.compile(f"{_MODEL_PATH}/[^/]+/infer"),
    f"{_MODEL_PATH}/{{name}}/versions/{{version}}/infer": re.compile(f"{_MODEL_PATH}/[^/]+/versions/[^/]+/infer"),
}
_REQUEST_ID = REQUEST_ID_HEADER.lower().encode("ascii")
_PLACEHOLDER = b"{request_id}"
_MAX_IMMEDIATE = 50  # refusals a second, half a percent of a core
HOLD_SECONDS = 0.25
_MAX_HELD = 512  # of which each holds up to 64 KiB of a body

logger = logging.getLogger(__name__)


class QueueGuard:
    """An ASGI application that passes requests on, except those that a full queue would refuse in the end."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        """Stand in front of `app`; refusals are counted in its metrics."""
        self._app = app
        self._refuse = allow_origins(self._answer, settings)
        self._immediate = _Allowance(_MAX_IMMEDIATE)
        self._num_held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if self._is_queue_full() and scope["method"] == "POST" and _find_route(scope["path"]):
            await self._hold()
            if self._is_queue_full():
                await self._refuse(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _hold(self) -> None:
        """Let a request wait, unless its refusal may be immediate or too many wait."""
        if self._num_held >= _MAX_HELD or self._immediate.take():
            return
        self._num_held += 1
        try:
            await asyncio.sleep(HOLD_SECONDS)
        finally:
            self._num_held -= 1

    def _is_queue_full(self) -> bool:
        state = self._app.state
        service = getattr(state, "service", None)
        return service is not None and service.queue.is_full and not state.draining

    async def _answer(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Respond before anything is spent on the body, and end the connection."""
        headers, status, route = Headers(scope=scope), QUEUE_FULL.status, _find_route(scope["path"])
        request_id = choose_request_id(headers.get(REQUEST_ID_HEADER))
        self._app.state.metrics.observe_rejection(QUEUE_FULL.code)
        self._app.state.metrics.observe_request("POST", route, status, 0.0)
        with log_request_ids(request_id, **read_trace_context(headers.get("traceparent"))):
            fields = {"method": "POST", "path": route, "status": status, "code": QUEUE_FULL.code}
            logger.info("refused", extra=fields)
        raw_headers, body = _render_queue_full(scope["path"])
        body = body.replace(_PLACEHOLDER, request_id.encode("ascii"))
        own_headers = ((_REQUEST_ID, request_id.encode("ascii")), (b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": [*raw_headers, *own_headers]})
        await send({"type": "http.response.body", "body": body})


class _Allowance:
    """A number of things a second."""

    def __init__(self, num_a_second: int) -> None:
        self._num_a_second = num_a_second
        self._second, self._num_taken = 0, 0

    def take(self) -> bool:
        """Take one, if any is left of this second."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._num_taken = second, 0
        self._num_taken += 1
        return self._num_taken <= self._num_a_second


def render_refusal(kind: ProblemKind, detail: str, settings: Settings) -> bytes:
    """Render a response to bytes that have not become a request."""
    response = _respond(choose_request_id(None), "", kind, detail)
    response.headers.update(allow_any_origin(settings))
    headers = [name + b": " + value for name, value in response.raw_headers]
    return STATUS_LINE[kind.status] + b"\r\n".join([*headers, b"", bytes(response.body)])


def _respond(request_id: str, path: str, kind: ProblemKind, detail: str) -> Response:
    response = problem_response(request_id, path, kind, detail)
    response.headers.update({**SECURITY_HEADERS, REQUEST_ID_HEADER: request_id, "Connection": "close"})
    return response


@lru_cache(maxsize=64)
def _render_queue_full(path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Render headers and body but for the request's id; rendering all for each would cost 1.5 % of throughput."""
    response = _respond(_PLACEHOLDER.decode("ascii"), path, QUEUE_FULL, QUEUE_FULL_DETAIL)
    del response.headers["Content-Length"], response.headers[REQUEST_ID_HEADER]
    return response.raw_headers, bytes(response.body)


def _find_route(path: str) -> str | None:
    return next((route for route, pattern in _QUEUED_ROUTES.items() if pattern.fullmatch(path)), None)
