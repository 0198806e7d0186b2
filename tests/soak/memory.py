"""How much memory the server takes while it is under load."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.soak.report import MEBIBYTE, Requirement, at_most

SAMPLES_PER_SECOND = 2
MAX_PEAK_BYTES = 512 * MEBIBYTE
_MAX_GROWTH = 0.1  # of the value after warm-up
_SPARE_BYTES = 16 * MEBIBYTE  # what one large image takes: more than a tenth of a small process
_NUM_SMOOTHED = 5


class MemoryWatch:
    """Samples of the server's memory, bytes, and when they were taken."""

    def __init__(self, measure: Callable[[], int]) -> None:
        """Take the first sample."""
        self._measure = measure
        self._begin = time.monotonic()
        self._samples = [(0.0, measure())]

    @property
    def start(self) -> int:
        """Before the load."""
        return self._samples[0][1]

    @property
    def peak(self) -> int:
        """The most."""
        return max(number for _, number in self._samples)

    @property
    def end(self) -> int:
        """The median of the last samples: one alone catches images that are just being judged."""
        return int(statistics.median(number for _, number in self._samples[-_NUM_SMOOTHED:]))

    def after(self, seconds: float) -> int:
        """The median of the first samples after so many seconds of load."""
        later = [number for moment, number in self._samples if moment >= seconds]
        return int(statistics.median(later[:_NUM_SMOOTHED])) if later else self.end

    def sample(self) -> None:
        """Take a sample."""
        self._samples.append((time.monotonic() - self._begin, self._measure()))

    def describe(self, warm_seconds: float) -> str:
        """Write start, warm, peak and end."""
        numbers = (self.start, self.after(warm_seconds), self.peak, self.end)
        start, warm, peak, end = (f"{number / MEBIBYTE:.0f}" for number in numbers)
        return f"memory, MiB: start {start}, after {warm_seconds:g} s {warm}, peak {peak}, end {end}"

    def require(self, warm_seconds: float, max_peak_bytes: float = MAX_PEAK_BYTES) -> list[Requirement]:
        """Require that it stays flat and small."""
        warm = self.after(warm_seconds)
        limit = warm + max(_MAX_GROWTH * warm, _SPARE_BYTES)
        return [
            at_most("memory at the end", self.end / MEBIBYTE, limit / MEBIBYTE, "MiB"),
            at_most("peak of the memory", self.peak / MEBIBYTE, max_peak_bytes / MEBIBYTE, "MiB"),
        ]


@asynccontextmanager
async def watch_memory(measure: Callable[[], int]) -> AsyncIterator[MemoryWatch]:
    """Sample until the block ends."""
    watch = MemoryWatch(measure)
    task = asyncio.create_task(_sample_forever(watch))
    try:
        yield watch
    finally:
        task.cancel()
        watch.sample()


async def _sample_forever(watch: MemoryWatch) -> None:
    while True:
        await asyncio.sleep(1 / SAMPLES_PER_SECOND)
        watch.sample()
