import asyncio
import os
from contextlib import suppress

import pytest

from tests.benchmark.load import BenchmarkError, apply_load

_REQUESTS = [f"GET /{index} HTTP/1.1\r\n\r\n".encode() for index in range(3)]


async def _measure(status: str, num_clients: int = 4):
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                await asyncio.sleep(0.01)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            return await apply_load(port, os.getpid(), _REQUESTS, num_clients, 0.3), asked
        finally:
            await asyncio.sleep(0.1)  # for the server to see that its clients have gone


def test_rate_and_latency_are_those_of_the_service():
    load, asked = asyncio.run(_measure("200 OK"))
    assert load.p50_ms >= 10
    assert load.p99_ms >= load.p50_ms
    assert 0 < load.rate <= 4 / 0.01
    assert {head.split()[1] for head in asked} == {b"/0", b"/1", b"/2"}
    assert load.memory_mib > 1
    assert load.client_cpu_ms > 0


def test_answers_that_are_no_success_end_the_measurement():
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(_measure("503 Service Unavailable", 1))
    assert caught.group_contains(BenchmarkError, match="answered 503")
