"""Clients that want to exhaust the service: streams without end, huge promises, idle and dripping connections."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.soak.demands import require_answers, require_clean_log, require_probes
from tests.soak.exchange import End, Outcome, exchange
from tests.soak.images import draw_scans, write_gigapixels
from tests.soak.memory import watch_memory
from tests.soak.options import Options
from tests.soak.probe import run_probe
from tests.soak.reference import ask_idle
from tests.soak.report import MEBIBYTE, Report, Requirement, at_most
from tests.soak.request import Request, announce, post, post_chunks
from tests.soak.server import run_server
from tests.soak.tally import Tally
from tests.soak.traffic import PREDICT, create_good_requests

_CHUNK_BYTES = 2**18
_NUM_DRIPS = 20
_DRIP_SECONDS = 1.0
_LONGEST_DEAF_SECONDS = 5.0  # the service gives him two to read his refusal
_DEAF_PAUSE_SECONDS = 0.1
_SPARE_SECONDS = 3.0
_SPARE_BYTES = 16 * MEBIBYTE  # what the system holds between the client and the service, and good requests need
_MAX_REFUSAL_SECONDS = 1.0
_UPLOADS_IN_MEMORY = 3  # the pieces, the whole, and what the allocator keeps of the last one


@dataclass(frozen=True)
class Abuse:
    """Misuses one server; every answer is counted in `tally`."""

    port: int
    options: Options
    tally: Tally

    async def stream(self, num_bytes: int) -> Requirement:
        """Send a body without a length, until told to stop."""
        request = post_chunks(PREDICT, bytes(_CHUNK_BYTES), num_bytes // _CHUNK_BYTES, "stream", 413)
        outcome = await self._send(request)
        limit = self.options.max_upload_bytes + _SPARE_BYTES
        return at_most("bytes taken of a stream", outcome.num_sent_bytes / MEBIBYTE, limit / MEBIBYTE, "MiB")

    async def stream_on(self, num_bytes: int) -> Requirement:
        """Do not stop when told to: once as fast as can be, once for as long as can be."""
        fast = post_chunks(PREDICT, bytes(_CHUNK_BYTES), num_bytes // _CHUNK_BYTES, "stream, deaf client", 413)
        await self._send(replace(fast, reads_while_sending=False))
        head = announce(PREDICT, 2**30, b"", "stream, deaf client", 413)
        pieces = (*head.pieces, *[b"x" * 1000] * round(2 * _LONGEST_DEAF_SECONDS / _DEAF_PAUSE_SECONDS))
        slow = replace(head, pieces=pieces, pause_seconds=_DEAF_PAUSE_SECONDS, reads_while_sending=False)
        outcome = await self._send(slow)
        return at_most("time until a deaf client is cut off", outcome.seconds, _LONGEST_DEAF_SECONDS, "s")

    async def promise_gigapixels(self) -> Requirement:
        """Send 4 KB that say they are ten gigapixels."""
        outcome = await self._send(post(PREDICT, write_gigapixels(), "gigapixels", 413))
        return at_most("time to refuse ten gigapixels", outcome.seconds, _MAX_REFUSAL_SECONDS, "s", timed=True)

    async def drip(self) -> Requirement:
        """Send bodies at a byte a second."""
        limit = self.options.upload_timeout_seconds + _SPARE_SECONDS
        head = announce(PREDICT, 100_000, b"", "dripping body", 408)
        pieces = (*head.pieces, *[b"x"] * round(2 * limit / _DRIP_SECONDS))
        request = replace(head, pieces=pieces, pause_seconds=_DRIP_SECONDS)
        outcomes = await asyncio.gather(*(self._send(request) for _ in range(_NUM_DRIPS)))
        return at_most("time to end a dripping body", max(outcome.seconds for outcome in outcomes), limit, "s")

    async def idle(self, good: Sequence[Request]) -> list[Requirement]:
        """Hold connections that send nothing, or half a head, and see whether others are still served."""
        limit = self.options.head_timeout_seconds + _SPARE_SECONDS
        num_each = self.options.idle_connections // 2
        silent = Request("silent connection", ())
        half = Request("half a head", (b"POST /predict HTTP/1.1\r\nHost: soak\r\nX-Half: ",))
        holding = asyncio.gather(
            *(exchange(self.port, request, limit) for request in (silent, half) for _ in range(num_each))
        )
        while not holding.done():
            for request in good:
                await self._send(request)
            await asyncio.sleep(0.5)
        outcomes = await holding
        return [_require_closed(request.kind, outcomes, limit) for request in (silent, half)]

    async def _send(self, request: Request) -> Outcome:
        outcome = await exchange(self.port, request, self.options.limit_seconds)
        self.tally.add(outcome)
        return outcome


async def abuse(options: Options) -> Report:
    """Misuse the service in every way, one after the other, and watch its memory."""
    good = create_good_requests(draw_scans(options.seed))
    async with run_server(options.settings()) as server:
        attack = Abuse(server.port, options, Tally(await ask_idle(server.port, good, options.limit_seconds)))
        await attack.stream(2 * options.max_upload_bytes)  # the memory that one upload needs stays ours
        async with watch_memory(lambda: server.memory_bytes) as memory, run_probe(server.port) as probe:
            found = [
                await attack.stream(options.stream_bytes),
                await attack.stream_on(options.stream_bytes),
                await attack.promise_gigapixels(),
                await attack.drip(),
                *await attack.idle(good),
            ]
        requirements = [
            *require_answers(attack.tally),
            *found,
            *require_probes(probe),
            *memory.require(0, memory.start + _UPLOADS_IN_MEMORY * options.max_upload_bytes + _SPARE_BYTES),
            require_clean_log(server),
        ]
    return Report("abuse", [memory.describe(0)], requirements, attack.tally)


def _require_closed(kind: str, outcomes: Sequence[Outcome], limit_seconds: float) -> Requirement:
    """Require that the service ended connections, with an answer or without."""
    held = [outcome for outcome in outcomes if outcome.request.kind == kind]
    num_closed = sum(outcome.end in (End.LOST, End.ANSWERED) for outcome in held)
    told = f"{num_closed} of {len(held)} within {limit_seconds:g} s"
    return Requirement(f"closed, {kind}", told, num_closed == len(held))
