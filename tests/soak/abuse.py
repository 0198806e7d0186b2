"""Clients that want to exhaust the service: streams without end, huge promises, idle and dripping connections."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tests.load.exchange import End, Outcome, exchange
from tests.load.reference import record_responses
from tests.load.request import Request, announce, post, post_chunks
from tests.load.scans import draw_variants, write_gigapixels
from tests.load.service import run_service
from tests.load.tally import Tally
from tests.soak.options import Options
from tests.soak.report import MEBIBYTE, Report, Requirement, at_most, none_of, require_clean_log, require_responses
from tests.soak.traffic import PREDICT, create_good_requests
from tests.soak.watch import run_probe, watch_memory

_CHUNK_BYTES = 2**18
_NUM_DRIPS = 20
_DRIP_SECONDS = 1.0
_LONGEST_DEAF_SECONDS = 5.0  # the service gives him two to read his refusal
_DEAF_PAUSE_SECONDS = 0.1
_SPARE_SECONDS = 3.0
_SPARE_BYTES = 16 * MEBIBYTE  # what the system holds between the client and the service, and good requests need
_MAX_REFUSAL_SECONDS = 1.0
_UPLOADS_IN_MEMORY = 3  # the pieces, the whole, and what the allocator keeps of the last one
_Send = Callable[[Request], Awaitable[Outcome]]


async def abuse(options: Options) -> Report:
    """Misuse the service in every way, one after the other, and watch its memory."""
    good = create_good_requests(draw_variants(options.seed))
    async with run_service(options.settings()) as service:
        tally = Tally(await record_responses(service.port, good, options.limit_seconds))

        async def send(request: Request) -> Outcome:
            outcome = await exchange(service.port, request, options.limit_seconds)
            tally.add(outcome)
            return outcome

        await _stream(send, replace(options, stream_bytes=2 * options.max_upload_bytes))  # one upload's memory is kept
        async with watch_memory(lambda: service.memory_bytes) as memory, run_probe(service.port) as probe:
            found = [
                await _stream(send, options),
                await _stream_on(send, options),
                await _promise_gigapixels(send),
                await _drip(send, options),
                *await _hold(send, service.port, good, options),
            ]
        requirements = [
            *require_responses(tally),
            *found,
            *probe.require(),
            *memory.require(0, memory.sizes[0] + _UPLOADS_IN_MEMORY * options.max_upload_bytes + _SPARE_BYTES),
            require_clean_log(service),
        ]
    return Report("abuse", [memory.describe(0)], requirements, tally)


async def _stream(send: _Send, options: Options) -> Requirement:
    """Send a body without a length, until a response comes."""
    outcome = await send(_create_stream(options, "stream"))
    limit = options.max_upload_bytes + _SPARE_BYTES
    return at_most("bytes taken of a stream", outcome.num_sent_bytes / MEBIBYTE, limit / MEBIBYTE, "MiB")


async def _stream_on(send: _Send, options: Options) -> Requirement:
    """Do not heed the response: once as fast as can be, once for as long as can be."""
    await send(replace(_create_stream(options, "stream, deaf client"), reads_while_sending=False))
    head = announce(PREDICT, 2**30, b"", "stream, deaf client", 413)
    pieces = (*head.pieces, *[b"x" * 1000] * round(2 * _LONGEST_DEAF_SECONDS / _DEAF_PAUSE_SECONDS))
    slow = replace(head, pieces=pieces, pause_seconds=_DEAF_PAUSE_SECONDS, reads_while_sending=False)
    return at_most("time until a deaf client is cut off", (await send(slow)).seconds, _LONGEST_DEAF_SECONDS, "s")


async def _promise_gigapixels(send: _Send) -> Requirement:
    """Send 4 KB that claim to be ten gigapixels."""
    outcome = await send(post(PREDICT, write_gigapixels(), "gigapixels", 413))
    return at_most("time to refuse ten gigapixels", outcome.seconds, _MAX_REFUSAL_SECONDS, "s", timed=True)


async def _drip(send: _Send, options: Options) -> Requirement:
    """Send bodies at a byte a second."""
    limit = options.upload_timeout_seconds + _SPARE_SECONDS
    head = announce(PREDICT, 100_000, b"", "dripping body", 408)
    pieces = (*head.pieces, *[b"x"] * round(2 * limit / _DRIP_SECONDS))
    request = replace(head, pieces=pieces, pause_seconds=_DRIP_SECONDS)
    outcomes = await asyncio.gather(*(send(request) for _ in range(_NUM_DRIPS)))
    return at_most("time to end a dripping body", max(outcome.seconds for outcome in outcomes), limit, "s")


async def _hold(send: _Send, port: int, good: Sequence[Request], options: Options) -> list[Requirement]:
    """Hold connections that send nothing, or half a head, and see whether others are still served."""
    limit = options.head_timeout_seconds + _SPARE_SECONDS
    silent = Request("silent connection", ())
    half = Request("half a head", (b"POST /predict HTTP/1.1\r\nHost: soak\r\nX-Half: ",))
    requests = [request for request in (silent, half) for _ in range(options.idle_connections // 2)]
    holding = asyncio.gather(*(exchange(port, request, limit) for request in requests))
    while not holding.done():
        for request in good:
            await send(request)
        await asyncio.sleep(0.5)
    open_kinds = [held.request.kind for held in await holding if held.end not in (End.LOST, End.COMPLETE)]
    return [
        none_of(f"{kind} still open after {limit:g} s", open_kinds.count(kind)) for kind in (silent.kind, half.kind)
    ]


def _create_stream(options: Options, kind: str) -> Request:
    return post_chunks(PREDICT, bytes(_CHUNK_BYTES), options.stream_bytes // _CHUNK_BYTES, kind, 413)
