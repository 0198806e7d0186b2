import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.benchmark import profiled_service
from tests.benchmark.profiled_service import HTTP, OTHER, Timeline, clock, replace


@pytest.fixture
def now(monkeypatch):
    """A clock that tests set: seconds, of which the processor works half."""
    now = SimpleNamespace(seconds=0.0)
    clocks = SimpleNamespace(perf_counter=lambda: now.seconds, process_time=lambda: now.seconds / 2)
    monkeypatch.setattr(profiled_service, "time", clocks)
    return now


def test_parts_sum_to_the_request_and_a_pause_costs_no_wall_time(now):
    timeline = Timeline()

    def wait(seconds):
        now.seconds += seconds

    for _ in range(2):
        wait(100)
        timeline.begin()
        wait(1)
        timeline.begin()  # more bytes of the same request
        with timeline.within(OTHER):
            wait(2)
            clock(timeline, "decode", None, wait)(4)
            wait(8)
            clock(timeline, "queue", "answer", wait)(16)
            wait(32)
        timeline.end()
    first, second = timeline.requests
    assert second == {HTTP: [1, 0.5], OTHER: [10, 5], "decode": [4, 2], "queue": [16, 8], "answer": [32, 16]}
    assert first == second | {HTTP: [1, 50.5]}


def test_time_of_a_coroutine_counts_until_it_returns(now):
    timeline = Timeline()

    async def parse(seconds):
        await asyncio.sleep(0)
        now.seconds += seconds
        return seconds

    timeline.begin()
    assert asyncio.run(clock(timeline, "form parse", None, parse)(3)) == 3
    timeline.end()
    assert timeline.requests == [{HTTP: [0, 0], "form parse": [3, 1.5]}]


def test_a_function_is_replaced_wherever_it_was_imported(monkeypatch):
    def decode():
        return 1

    class Engine:
        def predict(self):
            return 5

    for name in ("home", "importer"):
        module = ModuleType(name)
        vars(module).update(decode=decode, Engine=Engine)
        monkeypatch.setitem(sys.modules, name, module)
    assert replace("home:decode", lambda function: lambda: function() + 1)
    assert [vars(sys.modules[name])["decode"]() for name in ("home", "importer")] == [2, 2]
    assert replace("home:Engine.predict", lambda function: lambda self: function(self) + 1)
    assert Engine().predict() == 6


@pytest.mark.parametrize("name", ["nowhere:decode", "json:decode", "json:Decoder.decode"])
def test_a_name_that_nothing_has_is_reported(name):
    assert not replace(name, lambda function: function)
