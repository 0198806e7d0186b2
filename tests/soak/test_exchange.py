import asyncio
from dataclasses import replace

import pytest

from tests.soak.exchange import ClosedLoop, End, Outcome, exchange
from tests.soak.request import Request, announce, cut_off, get, post, slow_down

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def _exchange(request: Request, answer: bytes | None = _OK, limit_seconds: float = 5.0) -> tuple[Outcome, bytes]:
    """Send to a server that answers as soon as it has all that the request has, and tell what it got."""
    expected, received, served = sum(map(len, request.pieces)), bytearray(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(received) < expected and (data := await reader.read(65536)):
            received.extend(data)
        if answer is None:
            await reader.read()  # until the client has gone
        else:
            writer.write(answer)
        writer.close()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        outcome = await exchange(server.sockets[0].getsockname()[1], request, limit_seconds)
        await served.wait()
        return outcome, bytes(received)


def test_a_good_request_arrives_whole_and_is_answered():
    outcome, received = asyncio.run(_exchange(post("/predict", b"scan", "good")))
    assert (outcome.end, outcome.label, outcome.request.kind) == (End.ANSWERED, "200", "good")
    assert received.startswith(b"POST /predict HTTP/1.1\r\n")
    assert received.endswith(b"Content-Length: 4\r\n\r\nscan")
    assert outcome.begun <= outcome.sent <= outcome.ended


def test_a_slow_request_arrives_whole_but_not_at_once():
    request = slow_down(post("/predict", b"scan" * 100, "good"), "slow", 5, 0.2)
    outcome, received = asyncio.run(_exchange(request))
    assert len(request.pieces) == 5
    assert received.endswith(b"scan" * 100)
    assert outcome.seconds >= 0.15


def test_a_client_that_leaves_is_no_loss():
    request = cut_off(post("/predict", b"scan" * 100, "good"), "left", 0.5, 0.0)
    assert asyncio.run(_exchange(request, None))[0].end is End.LEFT


def test_no_answer_in_time_is_a_hang_and_a_closed_connection_a_loss():
    assert asyncio.run(_exchange(get("/livez", "probe"), None, 0.2))[0].end is End.HUNG
    assert asyncio.run(_exchange(get("/livez", "probe"), b""))[0].end is End.LOST
    request = announce("/predict", 1000, b"part", "stalled")
    assert asyncio.run(_exchange(replace(request, pieces=(*request.pieces, b"more")), b"HTTP/1.1 2"))[0].end is End.LOST


@pytest.mark.parametrize("keeps_open", [True, False])
def test_a_client_keeps_its_connection_as_long_as_the_server_does(keeps_open):
    connections = 0
    answer = _OK if keeps_open else _OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.read(65536):
            writer.write(answer)
            if not keeps_open:
                break
        writer.close()

    async def run() -> list[Outcome]:
        requests, outcomes = iter([get("/livez", "probe")] * 5), list[Outcome]()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            loop = ClosedLoop(server.sockets[0].getsockname()[1], 5.0, outcomes.append)
            await loop.run(1, lambda: next(requests, None))
        return outcomes

    assert [outcome.label for outcome in asyncio.run(run())] == ["200"] * 5
    assert connections == (1 if keeps_open else 5)
