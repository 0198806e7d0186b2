import asyncio

import pytest

from tests.soak.memory import MemoryWatch, watch_memory
from tests.soak.report import MEBIBYTE


def _watch(monkeypatch, *mebibytes: int) -> MemoryWatch:
    """Samples of one second each."""
    now, values = iter(range(100)), iter(mebibytes)
    monkeypatch.setattr("tests.soak.memory.time.monotonic", lambda: float(next(now)))
    watch = MemoryWatch(lambda: next(values) * MEBIBYTE)
    for _ in mebibytes[1:]:
        watch.sample()
    return watch


@pytest.mark.parametrize(
    ("mebibytes", "met"),
    [
        ((100, *[300] * 20), [True, True]),
        ((100, *[300] * 10, *[329] * 10), [True, True]),
        ((100, *[300] * 10, *[331] * 10), [False, True]),
        ((100, *[300] * 10, 513, *[300] * 10), [True, False]),
    ],
)
def test_growth_after_the_warm_up_and_a_high_peak_do_not_pass(monkeypatch, mebibytes, met):
    watch = _watch(monkeypatch, *mebibytes)
    assert [requirement.met for requirement in watch.require(1)] == met
    assert watch.start == 100 * MEBIBYTE


def test_memory_is_sampled_until_the_block_ends():
    samples = iter(range(1000))

    async def wait() -> MemoryWatch:
        async with watch_memory(lambda: next(samples)) as watch:
            await asyncio.sleep(0.7)
        return watch

    assert asyncio.run(wait()).peak >= 2
