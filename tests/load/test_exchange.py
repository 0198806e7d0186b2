import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.load.clients import OpenLoop, run_clients
from tests.load.exchange import End, Outcome, exchange
from tests.load.request import announce, cut_off, get, post, slow_down

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SLOW = slow_down(post("/predict", b"scan" * 100, "good"), "slow", 5, 0.2)
_STALLED = announce("/predict", 1000, b"part", "stalled")


async def _serve(response: bytes | None, use: Callable[[int], Awaitable[None]]) -> int:
    """Answer whatever comes with `response`, or never; count the connections."""
    num_connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_connections
        num_connections += 1
        while await reader.read(65536):
            writer.write(response or b"")
            if response is not None and b"Length: 2\r\n\r\nok" not in response:
                break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await use(server.sockets[0].getsockname()[1])
        await asyncio.sleep(0.05)  # for the server to see that its clients have gone
    return num_connections


@pytest.mark.parametrize(
    ("request_", "response", "end"),
    [
        (post("/predict", b"scan", "good"), _OK, End.COMPLETE),
        (_SLOW, None, End.HUNG),
        (get("/livez", "probe"), b"", End.LOST),
        (get("/livez", "probe"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", End.LOST),
        (replace(_STALLED, pieces=(*_STALLED.pieces, b"more")), b"HTTP/1.1 2", End.LOST),
        (cut_off(_SLOW, "left", 0.5, 0.0), None, End.LEFT),
    ],
)
def test_an_exchange_ends_as_it_did(request_, response, end):
    outcomes: list[Outcome] = []

    async def use(port: int) -> None:
        outcomes.append(await exchange(port, request_, 0.5))

    asyncio.run(_serve(response, use))
    assert outcomes[0].end is end


@pytest.mark.parametrize(
    ("response", "num_connections"), [(_OK, 1), (_OK.replace(b"Con", b"Connection: close\r\nCon"), 5)]
)
def test_a_client_keeps_its_connection_as_long_as_the_service_does(response, num_connections):
    requests, labels = iter([get("/livez", "probe")] * 5), list[str]()

    async def use(port: int) -> None:
        await run_clients(port, 1, 5.0, lambda: next(requests, None), lambda outcome: labels.append(outcome.label))

    assert asyncio.run(_serve(response, use)) == num_connections
    assert labels == ["200"] * 5


def test_every_request_at_a_rate_is_counted_also_those_that_nobody_takes():
    labels: list[str] = []

    async def use(port: int) -> None:
        load = OpenLoop(port, 200, 5.0, lambda _: get("/livez", "probe"))
        pace = await load.run(0.3, 0, lambda outcome: labels.append(outcome.label), "test")
        assert len(labels) + pace.num_skipped == len(pace.late_seconds) > 30

    asyncio.run(_serve(b"", use))
    assert set(labels) == {"lost"}
