"""A raw HTTP/1.1 connection to 127.0.0.1: it can stop half-way, dribble, never end or leave, as hostile clients do."""

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
_READ_BYTES = 2**18


class LostError(Exception):
    """The connection ended before a response was complete."""


@dataclass(frozen=True)
class Response:
    """A complete response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def label(self) -> str:
        """The status and, for a problem, its code."""
        if self.headers.get("content-type") != "application/problem+json":
            return str(self.status)
        try:
            return f"{self.status} {json.loads(self.body)['code']}"
        except (ValueError, LookupError, TypeError):
            return f"{self.status} unreadable"


class Connection:
    """One connection.

    Plain sockets instead of asyncio's streams: those discard what the server has sent as soon as writing fails, which
    is how a refused upload ends.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._received = bytearray()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect; ConnectionRefusedError if nobody listens."""
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
        return int(self._link.getsockname()[1])

    async def send(self, data: bytes) -> bool:
        """Send everything; False if the server has closed, in which case a response may wait to be read."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._link, data)
        except ConnectionError:
            return False
        return True

    async def read_response(self) -> Response:
        """Read one response; LostError if the connection ends before."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._receive()
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        total = end + 4 + int(headers.get("content-length", "0"))
        while len(self._received) < total:
            await self._receive()
        body = bytes(self._received[end + 4 : total])
        del self._received[:total]
        return Response(int(first.split(" ", 2)[1]), headers, body)

    def close(self) -> None:
        self._link.close()

    async def _receive(self) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._link, _READ_BYTES)
        except ConnectionError as error:
            raise LostError from error
        if not data:
            raise LostError
        self._received += data
