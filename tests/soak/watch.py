"""Watches the service while it is under load: its memory, and whether it says that it lives."""

import asyncio
import math
import signal
import statistics
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from tests.load.connection import HOST
from tests.load.tally import quantile
from tests.soak.report import MEBIBYTE, Requirement, at_most, none_of

_SAMPLE_SECONDS = 0.5
_MAX_PEAK_BYTES = 512 * MEBIBYTE
_MAX_GROWTH = 0.1  # of the value after warm-up
_SPARE_BYTES = 16 * MEBIBYTE  # what one large image takes: more than a tenth of a small process
_NUM_SMOOTHED = 5  # one sample alone catches images that are just being classified
_PROBE_SECONDS = 0.1
_PROBE_TIMEOUT_SECONDS = 10.0
_MAX_LIVEZ_SECONDS = 0.05


@dataclass
class MemoryWatch:
    """Samples of the service's memory: moments since the start of the load, seconds, and bytes."""

    moments: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def describe(self, warm_seconds: float) -> str:
        sizes = (self.sizes[0], *self._summarize(warm_seconds))
        start, warm, peak, end = (round(size / MEBIBYTE) for size in sizes)
        return f"memory, MiB: start {start}, after {warm_seconds:g} s {warm}, peak {peak}, end {end}"

    def require(self, warm_seconds: float, max_peak_bytes: float = _MAX_PEAK_BYTES) -> list[Requirement]:
        """Require that it stays flat and small."""
        warm, peak, end = self._summarize(warm_seconds)
        limit = warm + max(_MAX_GROWTH * warm, _SPARE_BYTES)
        return [
            at_most("memory at the end", end / MEBIBYTE, limit / MEBIBYTE, "MiB"),
            at_most("peak of the memory", peak / MEBIBYTE, max_peak_bytes / MEBIBYTE, "MiB"),
        ]

    def _summarize(self, warm_seconds: float) -> tuple[float, float, float]:
        """Compute the medians of the first samples after warm-up and of the last, and the peak between."""
        warm = bisect_left(self.moments, warm_seconds)
        first, last = self.sizes[warm:][:_NUM_SMOOTHED], self.sizes[-_NUM_SMOOTHED:]
        return statistics.median(first or last), max(self.sizes), statistics.median(last)


@asynccontextmanager
async def watch_memory(measure: Callable[[], int]) -> AsyncIterator[MemoryWatch]:
    """Sample until the block ends."""
    watch, begin = MemoryWatch(), time.monotonic()

    def sample() -> None:
        watch.moments.append(time.monotonic() - begin)
        watch.sizes.append(measure())

    async def sample_forever() -> None:
        while True:
            sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    sample()
    task = asyncio.create_task(sample_forever())
    try:
        yield watch
    finally:
        task.cancel()
        sample()


@dataclass
class Probe:
    """Seconds that `/livez` took, infinite where there was no response; known once the probe has stopped."""

    seconds: list[float] = field(default_factory=list)

    def require(self) -> list[Requirement]:
        """Require that the service said at every moment that it lives, and at once."""
        found = [seconds for seconds in self.seconds if math.isfinite(seconds)]
        p99_ms = 1000 * quantile(found, 0.99)
        return [
            none_of("/livez without a response", len(self.seconds) - len(found)),
            at_most(f"/livez p99 of {len(self.seconds)}", p99_ms, 1000 * _MAX_LIVEZ_SECONDS, "ms", timed=True),
        ]


@asynccontextmanager
async def run_probe(port: int) -> AsyncIterator[Probe]:
    """Probe until the block ends, from a process whose clock does not wait for the load's."""
    context, probe = get_context("spawn"), Probe()
    stop, (receiver, sender) = context.Event(), context.Pipe(duplex=False)
    process = context.Process(target=_probe, args=(port, stop, sender))
    process.start()
    sender.close()  # of the two ends, only the process's counts
    try:
        yield probe
    finally:
        stop.set()
        probe.seconds = receiver.recv()
        process.join()


def _probe(port: int, stop: Event, sender: "Connection[list[float], None]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent that stops us
    seconds, due = [], time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        begun = time.monotonic()
        seconds.append(time.monotonic() - begun if _is_alive(port) else math.inf)
        due = max(due + _PROBE_SECONDS, time.monotonic())
    sender.send(seconds)


def _is_alive(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=_PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
