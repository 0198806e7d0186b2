"""Bounds on connections: none may wait for ever, send a head without end, or be one too many.

connected -> head (within `head_timeout_seconds`, at most `MAX_HEAD_BYTES`) -> body -> answer -> next head
                                                                                 |
              an answer before the end of the body: what still comes is dropped, and the connection ends

`api.middleware.BodyLimit` bounds the body.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.errors import KINDS, ProblemKind
from api.exceptions import HeadTimeoutError, HeadTooLargeError, MalformedRequestError, TooManyConnectionsError
from api.server.refusals import Refusals

MAX_HEAD_BYTES = 65_536
# For the client to read the answer: closing with unread data would take it back.
_LINGER_SECONDS = 2.0
_MAX_LINGER_BYTES = 8 * 2**20
_LAST_REQUEST_SECONDS = 0.5  # for what is on its way when the service stops
_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be, and how long one may take to send a head or to read an answer."""

    max_connections: int
    head_timeout_seconds: float
    read_timeout_seconds: float


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with limits; refusals on this level are problem documents too."""

    def __init__(self, *arguments: Any, limits: ConnectionLimits, refusals: Refusals, **named: Any) -> None:
        """Make the protocol of one connection."""
        super().__init__(*arguments, **named)
        self._limits = limits
        self._refusals = refusals
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._num_head_bytes = 0
        self._num_dropped_bytes = 0
        self._dropping = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or refuse it if it is one too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(KINDS[TooManyConnectionsError], "There are too many connections; try again in a moment.")
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; all that is neither head nor body of a request counts as head."""
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
        if not self._dropping:
            super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer a request as soon as those before it are answered."""
        if self._refusals.finds_queue_full(cycle.scope):
            self._dropping = cycle.response_started = cycle.response_complete = True
            self.transport.write(self._refusals.answer_full(cycle.scope))
            self.loop.call_soon(self._end, cycle)  # when all that has arrived is taken
            return
        cycle.transport = _AnswerTransport(cycle, self.transport, partial(self._end, cycle))  # type: ignore[assignment]
        cycle.send = partial(self._send, cycle, cycle.send)  # type: ignore[method-assign]
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        self._num_head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._num_head_bytes = 0
        super().on_message_complete()
        if self._dropping:  # refused at its head, of which uvicorn knows nothing
            self.cycle.more_body = False

    def on_response_complete(self) -> None:
        """Wait for the next request, unless this was the last one."""
        if not self._dropping:
            super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # the parser's words are not ours
        """Refuse what is no HTTP."""
        self._refuse(KINDS[MalformedRequestError], "The bytes are not a request in HTTP/1.1.")

    def pause_writing(self) -> None:
        """Give the client some time to read its answer."""
        super().pause_writing()
        self._start_timer("write", self._limits.read_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_timer("write")
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Part from a client that sends no further request, or does not even read its answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """End when the service stops: a request that is on its way is still answered, and then the connection ends."""
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

    def _expect_head(self) -> None:
        if "head" not in self._timers:
            self._start_timer("head", self._limits.head_timeout_seconds, self._refuse_slow_head)

    def _refuse_slow_head(self) -> None:
        if not self._num_head_bytes:
            self.transport.abort()
            return
        seconds = self._limits.head_timeout_seconds
        self._refuse(KINDS[HeadTimeoutError], f"The head of the request did not arrive within {seconds:g} s.")

    def _refuse(self, kind: ProblemKind, detail: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._refusals.answer(kind, detail))
            self._linger()

    async def _send(self, cycle: RequestResponseCycle, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Let an answer say that it is the last one, where it is."""
        if not cycle.response_started and (cycle.more_body or self._stopping):
            cycle.keep_alive = False
        await send(message)

    def _end(self, cycle: RequestResponseCycle) -> None:
        """End the connection after an answer that says so."""
        if cycle.more_body and not self.transport.is_closing():
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """End our side, and drop what still comes until the client has ended his."""
        self._dropping = True
        self._unset_keepalive_if_required()
        self._stop_timer("head")
        self.flow.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection, and the loop has not told yet
            self.transport.abort()
            return
        self._start_timer("linger", _LINGER_SECONDS, self.transport.abort)

    def _drop(self, data: bytes) -> None:
        self._num_dropped_bytes += len(data)
        if self._num_dropped_bytes > _MAX_LINGER_BYTES:
            self.transport.abort()

    def _start_timer(self, name: str, seconds: float, action: Any) -> None:
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


@dataclass
class _AnswerTransport:
    """What an answer is written to; uvicorn closes it as soon as the answer is written, read or not.

    The head waits for the first of the body: each write costs a system call and wakes the client up.
    """

    cycle: RequestResponseCycle
    transport: asyncio.Transport
    end: Callable[[], None]
    head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self.cycle.response_started and self.head is None and self.cycle.scope["method"] != "HEAD":
            self.head = data
            return
        self.transport.write(self.head + data if self.head else data)
        self.head = b""

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def close(self) -> None:
        if self.head:
            self.transport.write(self.head)
        self.end()
