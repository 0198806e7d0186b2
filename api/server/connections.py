"""Bounds on connections: none may wait for ever, send a head without end, or be one too many.

connected -> head (within `head_timeout_seconds`, at most `MAX_HEAD_BYTES`) -> body -> response -> next head
                                                                                  |
            a response before the end of the body: the rest is dropped, and the connection ends

`api.middleware.BodyLimit` bounds the body.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.errors import KINDS, ProblemKind
from api.exceptions import HeadTimeoutError, HeadTooLargeError, MalformedRequestError, TooManyConnectionsError
from api.server.refusals import render_refusal
from api.settings import Settings
from api.telemetry.metrics import Metrics

MAX_HEAD_BYTES = 65_536
_READ_TIMEOUT_SECONDS = 30.0  # for a client to read its response
# Where a body still comes, because closing with unread data would take the response back.
_LINGER_SECONDS = 2.0
_MAX_LINGER_BYTES = 8 * 2**20
_LAST_REQUEST_SECONDS = 0.5  # for a request that is on its way when the service stops
_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with limits; refusals on this level are problem documents too."""

    def __init__(self, *arguments: Any, settings: Settings, metrics: Metrics, **options: Any) -> None:
        """Make the protocol of one connection."""
        super().__init__(*arguments, **options)
        self._settings = settings
        self._metrics = metrics
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._num_head_bytes = 0
        self._num_dropped_bytes = 0
        self._dropping = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept a connection, or refuse it if it is one too many."""
        super().connection_made(cast(asyncio.Transport, _LingeringTransport(transport, self._close)))
        if len(self.connections) > self._settings.max_connections:
            self._refuse(KINDS[TooManyConnectionsError], "There are too many connections; try again in a moment.")
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; all that are neither head nor body of a request count as head."""
        if self._dropping:
            self._drop(data)
            return
        self._num_head_bytes += len(data)
        in_body = self.cycle is not None and self.cycle.more_body
        super().data_received(data if in_body else _decline_upgrade(data))
        if self._dropping or not self._num_head_bytes:
            return
        if self._num_head_bytes > MAX_HEAD_BYTES:
            self._refuse(KINDS[HeadTooLargeError], f"The head may have at most {MAX_HEAD_BYTES:,} bytes.")
        elif self.cycle is None or self.cycle.response_complete:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._stop_timer("head")
        self._num_head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        self._num_head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._num_head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless this was the last one."""
        if not self._dropping:
            super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP, with a problem document instead of the parser's words."""
        self._refuse(KINDS[MalformedRequestError], "The bytes are not a request in HTTP/1.1.")

    def pause_writing(self) -> None:
        """Give the client some time to read its response."""
        super().pause_writing()
        self._start_timer("write", _READ_TIMEOUT_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_timer("write")
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End the connection of a client that sends no further request, or does not even read its response."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """End when the service stops, after the response to a request that is on its way."""
        self._stopping = True
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        elif not self._dropping:
            self._unset_keepalive_if_required()
            self._start_timer("head", _LAST_REQUEST_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for name in tuple(self._timers):
            self._stop_timer(name)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.send = partial(self._send, cycle, cycle.send)  # type: ignore[method-assign]
        super()._start_asgi_task(cycle, app)

    async def _send(self, cycle: RequestResponseCycle, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Send, announce the end of the connection if this is its last response, and join head and body."""
        if not cycle.response_started and (cycle.more_body or self._stopping):
            cycle.keep_alive = False
        transport = cast(_LingeringTransport, self.transport)
        if message["type"] == "http.response.start":
            transport.hold()
        await send(message)
        if message["type"] == "http.response.body":
            transport.flush()

    def _expect_head(self) -> None:
        if "head" not in self._timers:
            self._start_timer("head", self._settings.head_timeout_seconds, self._refuse_slow_head)

    def _refuse_slow_head(self) -> None:
        if not self._num_head_bytes:
            self.transport.abort()
            return
        seconds = self._settings.head_timeout_seconds
        self._refuse(KINDS[HeadTimeoutError], f"The head of the request did not arrive within {seconds:g} s.")

    def _refuse(self, kind: ProblemKind, detail: str) -> None:
        if not self.transport.is_closing():
            self._metrics.observe_rejection(kind.code)
            self.transport.write(render_refusal(kind, detail, self._settings))
            self._linger()

    def _close(self, transport: asyncio.Transport) -> None:
        """Close the connection; where a body still comes, only when the client has had time to read the response."""
        if self.cycle is not None and self.cycle.more_body and not transport.is_closing():
            self._linger()
        else:
            transport.close()

    def _linger(self) -> None:
        """End our side, and drop what still comes until the client ends its own."""
        self._dropping = True
        self._unset_keepalive_if_required()
        self._stop_timer("head")
        self.flow.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection, and the loop has not reported it yet
            self.transport.abort()
            return
        self._start_timer("linger", _LINGER_SECONDS, self.transport.abort)

    def _drop(self, data: bytes) -> None:
        self._num_dropped_bytes += len(data)
        if self._num_dropped_bytes > _MAX_LINGER_BYTES:
            self.transport.abort()

    def _start_timer(self, name: str, seconds: float, action: Callable[[], object]) -> None:
        self._stop_timer(name)
        self._timers[name] = self.loop.call_later(seconds, action)

    def _stop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _decline_upgrade(data: bytes) -> bytes:
    """Rename the header by which Java's client and `curl --http2` offer HTTP/2, in data that begin with a head.

    A server may ignore the offer (RFC 9110, section 7.8); the parser would take it and drop the request's body.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"x-upgrade", head) + end + rest


class _LingeringTransport:
    """A transport that asks before it closes: uvicorn closes as soon as a response is written, read or not.

    It also joins the head of a response with the first part of its body, which uvicorn writes one after the other: one
    call of the system and one packet, which wakes the client once.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[asyncio.Transport], None]) -> None:
        self._transport = transport
        self._close = partial(close, transport)
        self._held: bytes | None = None

    def hold(self) -> None:
        """Keep what is written next until more is."""
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, behind what is held."""
        if self._held == b"":
            self._held = data
            return
        self._transport.write((self._held or b"") + data)
        self._held = None

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            self._transport.write(self._held)
        self._held = None

    def close(self) -> None:
        """Close, once what is held is written."""
        self.flush()
        self._close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
