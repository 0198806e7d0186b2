"""Intervals: a bootstrap over groups, and Wilson's for a proportion."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from model.card import Interval

Weights = npt.NDArray[np.float64]  # (B, N): how often each of N images counts in each of B resamples
Values = npt.NDArray[np.float64]  # (B,): a number for each resample; NaN where it is not defined
Statistics = Callable[[Weights], Mapping[str, Values]]

NUM_RESAMPLES = 1000
_BLOCK_WEIGHTS = 2**19  # of 8 bytes; resamples are worked on in blocks of so many, whatever the number of images


@dataclass(frozen=True)
class WilsonInterval:
    """`count` of `total`, with the limits between which the underlying probability lies with 95 % confidence."""

    count: int
    total: int
    low: float
    high: float


def bootstrap(statistics: Statistics, groups: Sequence[str], seed: int = 0) -> dict[str, Interval]:
    """Compute numbers with 95 % percentile intervals from a bootstrap over groups.

    Images of one group (one patient, copies of one slice) are not independent: whole groups are drawn with
    replacement (Field and Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 2007). An image then
    counts as often as its group was drawn.

    Args:
        statistics: From weights (B, N) to named numbers (B,).
        groups: The group of each of N images.

    Returns:
        An interval a number; those that are not defined on all images are left out.
    """
    values = statistics(np.ones((1, len(groups))))
    resampled = defaultdict(list)
    for weights in _draw_weights(groups, seed):
        for name, numbers in statistics(weights).items():
            resampled[name].append(numbers)
    intervals = {}
    for name, value in values.items():
        if np.isfinite(value[0]):
            drawn = np.concatenate(resampled[name])
            low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5]).tolist()
            intervals[name] = Interval(value=float(value[0]), low=low, high=high)
    return intervals


def wilson_interval(count: int, total: int) -> WilsonInterval:
    """Compute the score interval of a proportion of independent trials; it is sound for few and for none.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    if total == 0:
        return WilsonInterval(0, 0, 0.0, 1.0)
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return WilsonInterval(count, total, float(interval.low), float(interval.high))


def _draw_weights(groups: Sequence[str], seed: int) -> Iterator[Weights]:
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    num_groups = len(names)
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_WEIGHTS // len(groups))
    for start in range(0, NUM_RESAMPLES, block):
        size = min(block, NUM_RESAMPLES - start)
        drawn = generator.integers(0, num_groups, (size, num_groups)) + num_groups * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * num_groups).reshape(size, num_groups)
        yield counts.astype(np.float64)[:, group_of]
