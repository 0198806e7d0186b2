"""ASGI middleware: request ids, bounds on bodies, security headers, and a 500 for defects."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cors import allow_origins
from api.errors import DEFECT, DEFECT_DETAIL, problem_response
from api.exceptions import PROTOCOL_PATH, BodyTooLargeError, MalformedRequestError, QueueFullError, UploadTimeoutError
from api.settings import Settings
from api.telemetry.logs import describe_defect, log_request_ids, read_trace_context
from api.telemetry.tracing import current_trace_ids

REQUEST_ID_HEADER = "X-Request-ID"
# Probes come every few seconds, a page's files many at once: such requests are logged at debug level.
QUIET_PATHS = (
    *("/livez", "/readyz", "/health", "/metrics", "/page/{name}"),
    *(f"{PROTOCOL_PATH}/health/live", f"{PROTOCOL_PATH}/health/ready", f"{PROTOCOL_PATH}/models/{{name}}/ready"),
)
_MAX_CODING = 20  # characters that an error quotes
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# No script of a response runs, no other page frames it, and its type is not guessed.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

logger = logging.getLogger(__name__)


class RequestContext:
    """Gives each request an id, the client's own where it is harmless, counts it, and turns a defect into a 500.

    A defect is logged by its type and place, not by its text, which may quote what a client sent. To `app`, HEAD is
    GET: the server sends the head of the response alone.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap `app`."""
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        trace_ids = {**read_trace_context(headers.get("traceparent")), **current_trace_ids()}
        with log_request_ids(request_id, **trace_ids):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        begin, status = time.perf_counter(), 0
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["app"].state.draining:  # the connection will not be there for another request
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(inner, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001  # any defect is a 500 without details
            logger.error("defect", extra=describe_defect(error))
            if not status:
                response = problem_response(request_id, scope["path"], DEFECT, DEFECT_DETAIL)
                await allow_origins(response, self._settings)(inner, receive, send_with_headers)
        finally:
            if status:
                scope["route"] = inner.get("route")
                self._report(scope, status, time.perf_counter() - begin)

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], getattr(scope["route"], "path", None)
        scope["app"].state.metrics.observe_request(method, path, status, seconds)
        fields = {"method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
        logger.log(logging.DEBUG if path in QUIET_PATHS else logging.INFO, "request", extra=fields)


class BodyLimit:
    """Bounds the bytes of each body, of all unanswered bodies together, and the time one may take to arrive.

    None may be compressed: nobody knows how large it would become.

    One byte too many, announced or received, and reading the body fails. Starlette's `RequestBodyLimitMiddleware`
    would replace any response to an announced excess, a 401 too, by a 413 in plain text.
    """

    def __init__(self, app: ASGIApp, settings: Settings, max_bytes_of: Mapping[str, int]) -> None:
        """Wrap `app`; the time runs from the first attempt to read the body.

        Args:
            max_bytes_of: The limits of paths that have another one than `settings.max_upload_bytes`.
        """
        self._app = app
        self._settings = settings
        self._max_bytes_of = max_bytes_of
        self._num_buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced, codings = headers.get("content-length", "0"), _list_codings(headers)
        max_bytes = self._max_bytes_of.get(scope["path"], self._settings.max_upload_bytes)
        timeout_seconds = self._settings.upload_timeout_seconds
        num_bytes = 0
        deadline: float | None = None
        complete = False

        async def receive_within_limits() -> Message:
            nonlocal num_bytes, deadline, complete
            if complete:  # only the end of the connection is still to come
                return await receive()
            if not (announced.isascii() and announced.isdigit()):
                raise MalformedRequestError("Expected a number in the header Content-Length.")
            if codings:
                raise MalformedRequestError(f"Expected a body that is not compressed; found {', '.join(codings)}.")
            self._check(int(announced), max_bytes)
            deadline = deadline or asyncio.get_running_loop().time() + timeout_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise UploadTimeoutError(f"The body did not arrive within {timeout_seconds:g} s.") from error
            complete = not message.get("more_body", False)
            num_new_bytes = len(message.get("body", b""))
            num_bytes += num_new_bytes
            self._num_buffered_bytes += num_new_bytes
            self._check(num_bytes, max_bytes)
            return message

        try:
            await self._app(scope, receive_within_limits, send)
        finally:
            self._num_buffered_bytes -= num_bytes

    def _check(self, num_bytes: int, max_bytes: int) -> None:
        if num_bytes > max_bytes:
            raise BodyTooLargeError(f"The body may have at most {max_bytes:,} bytes.")
        if self._num_buffered_bytes > max(self._settings.max_buffered_bytes, max_bytes):
            raise QueueFullError("The waiting images fill the memory set aside for them; try again in a moment.")


def _list_codings(headers: Headers) -> list[str]:
    """List the compressions that a body has undergone; RFC 9110, section 8.4, and RFC 9112, section 7."""
    values = ",".join([*headers.getlist("content-encoding"), *headers.getlist("transfer-encoding")]).lower().split(",")
    return [name[:_MAX_CODING] for value in values if (name := value.strip()) not in ("", "identity", "chunked")]


def choose_request_id(offered: str | None) -> str:
    """Take the client's own id where it is harmless, else make one."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return f"{random.getrandbits(128):032x}"  # it keeps no secret
