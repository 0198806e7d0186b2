"""A raw HTTP/1.1 client on 127.0.0.1: it can stop half-way, dribble, never end, or leave, as hostile clients do."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
_READ_BYTES = 2**18


class LostError(Exception):
    """The connection ended before an answer was complete."""


@dataclass(frozen=True)
class Answer:
    """A complete answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One connection.

    Plain sockets instead of asyncio's streams: these throw away what the server had answered as soon as writing
    fails, which is how a refused upload ends.
    """

    def __init__(self, link: socket.socket) -> None:
        """Use a socket that is connected."""
        self._link = link
        self._received = bytearray()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect.

        Raises:
            ConnectionRefusedError: If nobody listens.
        """
        link = socket.socket()
        link.setblocking(False)
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(link, (HOST, port))
        except BaseException:
            link.close()
            raise
        return cls(link)

    @property
    def local_port(self) -> int:
        """The port on this side."""
        return int(self._link.getsockname()[1])

    async def send(self, data: bytes) -> bool:
        """Send everything; False if the other side has closed, in which case an answer may wait to be read."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._link, data)
        except ConnectionError:
            return False
        return True

    async def read_answer(self) -> Answer:
        """Read one answer.

        Raises:
            LostError: If the connection ends before.
        """
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._receive()
        status, headers = _parse_head(bytes(self._received[:end]))
        total = end + 4 + int(headers.get("content-length", "0"))
        while len(self._received) < total:
            await self._receive()
        body = bytes(self._received[end + 4 : total])
        del self._received[:total]
        return Answer(status, headers, body)

    def close(self) -> None:
        """Leave; an answer under way is lost."""
        self._link.close()

    async def _receive(self) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._link, _READ_BYTES)
        except ConnectionError as error:
            raise LostError("the connection was reset") from error
        if not data:
            raise LostError("the connection was closed")
        self._received += data


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}
