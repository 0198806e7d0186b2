import threading

import pytest

from tests.benchmark.engines import time_calls, time_onnxruntime


@pytest.mark.parametrize("num_streams", [1, 3])
def test_calls_come_from_as_many_threads_as_there_are_streams(num_streams):
    threads, pause = set(), threading.Event()

    def call() -> None:
        threads.add(threading.get_ident())
        pause.wait(0.01)

    pace = time_calls(call, num_streams, 0.2)
    assert len(threads) == num_streams
    assert pace.ms >= 10
    assert pace.rate <= num_streams / 0.01


@pytest.mark.parametrize("explain", [False, True])
def test_the_bare_engine_runs(tiny_pair, explain):
    assert time_onnxruntime(tiny_pair[1], 1, 2, explain, 0.1).rate > 0
