import pytest

from tests.soak.report import MEBIBYTE
from tests.soak.watch import MemoryWatch


@pytest.mark.parametrize(
    ("mebibytes", "met"),
    [
        ((100, *[300] * 10, *[329] * 10), [True, True]),
        ((100, *[300] * 10, *[331] * 10), [False, True]),
        ((100, *[300] * 10, 513, *[300] * 10), [True, False]),
    ],
)
def test_growth_after_the_warm_up_and_a_high_peak_do_not_pass(mebibytes, met):
    watch = MemoryWatch(list(map(float, range(len(mebibytes)))), [size * MEBIBYTE for size in mebibytes])
    assert [requirement.met for requirement in watch.require(1)] == met
