"""The HTTP server: it announces that it is about to stop before it stops."""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvicorn

from api.main import create_app
from api.scheduling import use_batch_scheduling
from api.server.acceptor import Acceptor
from api.server.connections import BoundedProtocol
from api.server.files import REFUSED_CONNECTIONS
from api.server.memory import keep_loaded_objects, return_freed_memory
from api.server.refusals import QueueGuard
from api.settings import Settings
from api.telemetry.metrics import Metrics

_SPARE_SECONDS = 10

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """A uvicorn server that answers new requests with 503 for a while after the signal to stop.

    signal -> `/readyz` and new requests get 503 -> `drain_seconds` -> no new connections, open requests end -> exit

    A load balancer learns in time to send its requests elsewhere. A second signal ends the draining.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        """Make the service; the model is loaded by `serve`.

        Args:
            metrics: Shared by the workers, if there are several.

        Raises:
            SettingsError: If the service cannot be made with these settings.
        """
        self._app = create_app(settings, metrics)
        self._drain_seconds = settings.drain_seconds
        self._max_connections = settings.max_connections + REFUSED_CONNECTIONS
        create_protocol = partial(BoundedProtocol, settings=settings, metrics=self._app.state.metrics)
        config = uvicorn.Config(
            QueueGuard(self._app, settings),
            loop="asyncio",
            http=create_protocol,  # type: ignore[arg-type]  # called as a class would be
            ws="none",
            lifespan="off",  # run by `serve`, whose caller reports its errors in one line
            log_config=None,
            access_log=False,  # it would log queries; the service logs a line of its own
            server_header=False,
            timeout_graceful_shutdown=int(
                settings.upload_timeout_seconds + settings.request_timeout_seconds + _SPARE_SECONDS
            ),
        )
        super().__init__(config)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the model, and serve until a signal has come and all accepted requests are answered.

        Raises:
            ModelError: If the model cannot be loaded.
        """
        return_freed_memory()
        use_batch_scheduling()
        async with self._app.router.lifespan_context(self._app):
            keep_loaded_objects()
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections from now on."""
        self.servers = []  # asyncio's, of which there are none
        self._acceptor = Acceptor(sockets or (), self._create_protocol, self.config.backlog)
        self._acceptor.start(self._has_room)
        self.started = True
        for host, port, *_ in (listener.getsockname() for listener in sockets or ()):
            logger.info("listening", extra={"host": host, "port": port})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept only the connections that clients have opened already, and finish the requests under way."""
        await self._acceptor.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the draining at the first signal, and end it at the second."""
        if self._app.state.draining:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        loop, stop = asyncio.get_running_loop(), super().handle_exit
        loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, stop, sig, frame)

    def _has_room(self, num_attaching: int) -> bool:
        return len(self.server_state.connections) + num_attaching < self._max_connections

    def _create_protocol(self) -> asyncio.Protocol:
        create: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return create(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
