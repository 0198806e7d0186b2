import asyncio
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.soak.client import Connection, LostError


async def _talk(serve: Callable[[socket.socket], None], *sent: bytes):
    """Send to a server of one connection, which `serve` ends, and read what it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await Connection.open(listener.getsockname()[1])
        with closing(connection):
            served, _ = listener.accept()
            with served:
                serve(served)
            await asyncio.sleep(0.05)
            for data in sent:
                await connection.send(data)
            return await connection.read_answer()


def test_an_answer_is_read_with_its_status_headers_and_body():
    answer = asyncio.run(
        _talk(lambda link: link.sendall(b"HTTP/1.1 201 Made\r\nX-One: a\r\nContent-Length: 2\r\n\r\nok"))
    )
    assert (answer.status, answer.headers["x-one"], answer.body) == (201, "a", b"ok")


def test_an_answer_is_read_although_the_server_has_reset_the_connection():
    """As a refused upload ends: the answer, then a reset because nobody read the rest."""

    def refuse(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")

    assert asyncio.run(_talk(refuse, b"x" * 1000, b"x" * 1000, b"x" * 1000)).status == 413


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_an_answer_that_is_not_complete_is_lost(part):
    with pytest.raises(LostError):
        asyncio.run(_talk(lambda link: link.sendall(part)))


def test_nobody_listening_is_a_refusal():
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(Connection.open(link.getsockname()[1]))
