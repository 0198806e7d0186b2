import numpy as np
import pytest
from scipy.stats import binomtest

from training.metrics import intervals
from training.metrics.intervals import bootstrap, wilson_interval

VALUES = np.random.default_rng(0).normal(size=400)


def _mean(weights):
    return {"mean": weights @ VALUES / weights.sum(axis=1)}


@pytest.mark.parametrize(("count", "total"), [(0, 20), (20, 20), (1, 1), (7, 11), (999, 1311)])
def test_wilsons_interval_equals_scipys(count, total):
    expected = binomtest(count, total).proportion_ci(method="wilson")
    found = wilson_interval(count, total)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.count, found.total) == (count, total)


def test_of_nothing_nothing_is_known():
    found = wilson_interval(0, 0)
    assert (found.low, found.high) == (0, 1)


def test_the_bootstrap_of_a_mean_is_its_standard_error():
    interval = bootstrap(_mean, [str(index) for index in range(400)])["mean"]
    assert interval.value == pytest.approx(VALUES.mean())
    half = 1.96 * VALUES.std() / 20
    assert (interval.low, interval.high) == pytest.approx((VALUES.mean() - half, VALUES.mean() + half), abs=0.2 * half)


def test_it_is_the_bootstrap_of_group_means_where_groups_are_alike():
    groups = [str(index // 20) for index in range(400)]
    constant = np.repeat(np.random.default_rng(1).normal(size=20), 20)
    interval = bootstrap(lambda weights: {"mean": weights @ constant / weights.sum(axis=1)}, groups)["mean"]
    half = 1.96 * constant.std() / np.sqrt(20)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.2)


def test_the_seed_decides():
    groups = [str(index // 3) for index in range(400)]
    assert bootstrap(_mean, groups, 1) == bootstrap(_mean, groups, 1) != bootstrap(_mean, groups, 2)


def test_what_is_not_defined_is_left_out_and_undefined_resamples_do_not_count():
    def statistics(weights):
        drawn = weights[:, 0] > 0
        return {"never": np.full(len(weights), np.nan), "sometimes": np.where(drawn, 3.0, np.nan)}

    found = bootstrap(statistics, ["a", "b", "c"])
    assert list(found) == ["sometimes"]
    assert (found["sometimes"].low, found["sometimes"].high) == (3, 3)


def test_the_interval_does_not_depend_on_the_size_of_blocks(monkeypatch):
    groups = [str(index // 3) for index in range(400)]
    whole = bootstrap(_mean, groups)["mean"]
    monkeypatch.setattr(intervals, "_BLOCK_WEIGHTS", 1)
    one_by_one = bootstrap(_mean, groups)["mean"]
    assert (whole.low, whole.high) == pytest.approx((one_by_one.low, one_by_one.high), abs=0.02)
