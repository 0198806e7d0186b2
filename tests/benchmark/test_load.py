import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.benchmark.load import Load, measure_load
from tests.load.request import get
from tests.load.service import ServiceError


async def _measure(status: str) -> Load:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            await asyncio.sleep(0.01)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        service: Any = SimpleNamespace(port=port, cpu_seconds=0.0, memory_bytes=2**20)
        try:
            return await measure_load(service, [get("/", "test")], 4, 0.3)
        finally:
            await asyncio.sleep(0.05)  # for the server to see that its clients have gone


def test_rate_and_latency_are_those_of_the_service():
    load = asyncio.run(_measure("200 OK"))
    assert 10 <= load.p50_ms <= load.p99_ms
    assert 0 < load.rate <= 4 / 0.01


def test_a_response_that_is_no_success_ends_the_measurement():
    with pytest.raises(ServiceError, match="503"):
        asyncio.run(_measure("503 Service Unavailable"))
