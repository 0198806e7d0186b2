import pytest

from tests.benchmark.training import time_arithmetic, time_training


@pytest.mark.slow
def test_training_and_its_arithmetic_are_timed_on_batches_of_one_size():
    training, arithmetic = time_training(), time_arithmetic()
    for pace in (training, arithmetic):
        assert pace.rate == pytest.approx(32 / (pace.ms / 1000))
        assert pace.cpu_ms > 0
