"""Accepts connections while there is room for them; the others wait in the system's queue.

asyncio's own server would go on accepting when files run out, and log thousands of errors a second.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

_PAUSE_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Acceptor:
    """Takes connections from listening sockets and gives each a protocol."""

    def __init__(
        self, listeners: Sequence[socket.socket], create_protocol: Callable[[], asyncio.Protocol], backlog: int
    ) -> None:
        """Accept nothing yet.

        Args:
            backlog: How many connections may wait in the system's queue.
        """
        self._listeners = listeners
        self._create_protocol = create_protocol
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self._attaching: set[asyncio.Task[None]] = set()
        self._stopped = False

    def start(self, has_room: Callable[[int], bool]) -> None:
        """Accept connections from now on.

        Args:
            has_room: Returns whether there is room for another one, besides a number that have no protocol yet.
        """
        self._has_room = has_room
        for listener in self._listeners:
            listener.setblocking(False)
            listener.listen(self._backlog)
            self._resume(listener)

    async def stop(self) -> None:
        """Accept the connections that clients have opened already, and then no more."""
        for listener in self._listeners:
            self._accept(listener)
            self._loop.remove_reader(listener)
        self._stopped = True
        await asyncio.gather(*self._attaching)

    def _resume(self, listener: socket.socket) -> None:
        if not self._stopped:
            self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept until no connection waits, or pause where none can be accepted."""
        while self._has_room(len(self._attaching)):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no files or memory left
                logger.error("connections have to wait: %s", error.strerror)
                break
            task = self._loop.create_task(self._attach(connection))
            self._attaching.add(task)
            task.add_done_callback(self._attaching.discard)
        else:
            logger.warning("connections have to wait until others end")
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE_SECONDS, self._resume, listener)

    async def _attach(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._create_protocol, connection)
        except OSError:  # the client is gone
            connection.close()
