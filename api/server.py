"""The server around the service: it says that it is about to stop before it stops."""

import asyncio
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.settings import Settings

_SPARE_SECONDS = 10


class DrainingServer(uvicorn.Server):
    """A uvicorn server that answers new requests with 503 for a while after the signal to stop.

    signal -> `/readyz` and new requests get 503 -> `drain_seconds` -> no more connections, started requests end -> exit

    A load balancer so learns in time to ask elsewhere. A second signal ends the wait.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        """Prepare to serve `app` where the settings say."""
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
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

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal has come and all that had been accepted is answered."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first one starts the draining, a second one ends it."""
        if self._app.state.draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._app.state.draining = True
        stop = super().handle_exit
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_seconds, stop, sig, frame)
