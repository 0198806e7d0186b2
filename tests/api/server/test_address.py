import asyncio
import socket

import pytest

from api.exceptions import SettingsError
from api.server.address import take_address
from api.settings import Settings


def test_an_address_in_use_stops_the_start():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SettingsError, match="cannot listen"):
        take_address(Settings(port=other.getsockname()[1]))


def test_connections_are_refused_until_someone_listens():
    with take_address(Settings(port=0)) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname())


def test_a_response_does_not_wait_until_the_one_before_it_is_acknowledged():
    async def scenario() -> int:
        accepted = asyncio.get_running_loop().create_future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                accepted.set_result(transport.get_extra_info("socket"))

        with take_address(Settings(port=0)) as listener:
            async with await asyncio.get_running_loop().create_server(Protocol, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                option: int = (await accepted).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                writer.close()
                return option

    assert asyncio.run(scenario()) != 0
