"""The server around the service: it says that it is about to stop before it stops."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.main import create_app
from api.scheduling import switch_less
from api.server.connections import BoundedProtocol, ConnectionLimits
from api.server.memory import keep_loaded_objects, return_freed_memory
from api.server.refusals import Refusals
from api.settings import Settings
from api.telemetry.metrics import Metrics

_SPARE_SECONDS = 10
_ATTACH_SECONDS = 0.05  # between accepting a connection and having a protocol for it; asyncio takes two turns
_READ_TIMEOUT_SECONDS = 30.0  # for a client to read its answer


logger = logging.getLogger(__name__)


async def serve(
    settings: Settings, metrics: Metrics | None, listener: socket.socket, tell_ready: Callable[[], None] | None = None
) -> None:
    """Load the model and serve until a signal comes.

    Args:
        metrics: Those that workers share, if there are several.
        listener: The address, taken by `api.server.address.take_address`.
        tell_ready: Called when requests are answered.

    Raises:
        ModelError: If the model cannot be loaded.
        SettingsError: If the keys cannot be used.
    """
    return_freed_memory()
    switch_less()
    app = create_app(settings, metrics)
    async with app.router.lifespan_context(app):
        keep_loaded_objects()
        await DrainingServer(app, settings, tell_ready).serve([listener])


class DrainingServer(uvicorn.Server):
    """A uvicorn server that answers new requests with 503 for a while after the signal to stop.

    signal -> `/readyz` and new requests get 503 -> `drain_seconds` -> no more connections, started requests end -> exit

    A load balancer so learns in time to ask elsewhere. A second signal ends the wait.
    """

    def __init__(self, app: FastAPI, settings: Settings, tell_ready: Callable[[], None] | None = None) -> None:
        """Prepare to serve `app`; `tell_ready` is called when it answers."""
        limits = ConnectionLimits(settings.max_connections, settings.head_timeout_seconds, _READ_TIMEOUT_SECONDS)
        create_protocol = partial(BoundedProtocol, limits=limits, refusals=Refusals(app))
        config = uvicorn.Config(
            app,
            http=create_protocol,  # type: ignore[arg-type]  # called as a class would be
            ws="none",
            lifespan="off",  # run by the caller, where an error of it can be told in one line
            log_config=None,
            access_log=False,  # it would write queries; the service writes a line of its own
            server_header=False,
            timeout_graceful_shutdown=int(
                settings.upload_timeout_seconds + settings.request_timeout_seconds + _SPARE_SECONDS
            ),
        )
        super().__init__(config)
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tell_ready = tell_ready or (lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections from now on."""
        await super().startup(sockets)
        for host, port, *_ in (listener.getsockname() for listener in sockets or ()):
            logger.info("listening", extra={"host": host, "port": port})
        self._tell_ready()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal has come and all that had been accepted is answered."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, but those that clients have opened already, and answer what is under way."""
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            loop.remove_reader(listener)
        await asyncio.sleep(_ATTACH_SECONDS)
        waiting = [connection for listener in sockets or () for connection in _accept_waiting(listener)]
        for server in self.servers:
            server.close()  # the system resets what still waits, and asyncio drops what is accepted but not attached
        for connection in waiting:
            await loop.connect_accepted_socket(self._create_protocol, connection)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first one starts the draining, a second one ends it."""
        if self._app.state.draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        stop = super().handle_exit
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_seconds, stop, sig, frame)

    def _create_protocol(self) -> asyncio.Protocol:
        create: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return create(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept connections until none waits; the socket does not block, its server's event loop has seen to that."""
    with suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection
