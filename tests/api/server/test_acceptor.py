import asyncio
import errno
import os
import socket
from typing import Any

import pytest

from api.server.acceptor import Acceptor


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


class Listener(socket.socket):
    """A socket whose first attempts to accept a connection fail."""

    num_attempts = 0
    num_failures = 0
    failure = errno.EMFILE

    def accept(self) -> tuple[socket.socket, Any]:
        self.num_attempts += 1
        if self.num_attempts <= self.num_failures:
            raise OSError(self.failure, os.strerror(self.failure))
        return super().accept()


@pytest.fixture
def listener():
    with Listener() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


async def greet(listener) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    greeting = await reader.read()
    writer.close()
    return greeting


@pytest.mark.parametrize("failure", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_connection_that_cannot_be_accepted_waits(listener, caplog, failure):
    async def scenario():
        acceptor = Acceptor([listener], Greeter, 10)
        listener.num_failures, listener.failure = 2, failure
        acceptor.start(lambda _: True)
        greeting = await greet(listener)
        await acceptor.stop()
        return greeting

    assert asyncio.run(scenario()) == b"hello"
    assert [record.getMessage() for record in caplog.records] == [
        f"connections have to wait: {os.strerror(failure)}"
    ] * 2


def test_connections_wait_for_room(listener):
    async def scenario():
        room = False
        acceptor = Acceptor([listener], Greeter, 10)
        acceptor.start(lambda _: room)
        greetings = [asyncio.create_task(greet(listener)) for _ in range(3)]
        done, _ = await asyncio.wait(greetings, timeout=0.3)
        assert not done
        assert listener.num_attempts == 0
        room = True
        assert await asyncio.gather(*greetings) == [b"hello"] * 3
        await acceptor.stop()

    asyncio.run(scenario())


def test_connections_that_are_open_when_it_stops_are_still_taken(listener):
    async def scenario():
        acceptor = Acceptor([listener], Greeter, 10)
        acceptor.start(lambda _: True)
        with socket.create_connection(listener.getsockname()) as client:  # and the loop has not run since
            await acceptor.stop()
            await asyncio.sleep(0)
            client.settimeout(5)
            return await asyncio.to_thread(client.recv, 100)

    assert asyncio.run(scenario()) == b"hello"
