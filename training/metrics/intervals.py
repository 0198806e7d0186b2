"""How sure a measured number is: a bootstrap over groups, and Wilson's interval for a proportion."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from model.card import Interval

Weights = npt.NDArray[np.float64]  # (B, N): how often each of N images counts in each of B resamples
Values = npt.NDArray[np.float64]  # (B,): a number for each resample; NaN where it is not defined
Statistics = Callable[[Weights], Mapping[str, Values]]

NUM_RESAMPLES = 1000
_NORMAL_QUANTILE = 1.959963984540054  # 97.5 % of a standard normal distribution lie below it
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
        groups: For each of the N images, who it belongs with.

    Returns:
        An interval a number; those that are not defined on all images are left out.
    """
    values = statistics(np.ones((1, len(groups))))
    resampled = defaultdict(list)
    for weights in _draw_weights(groups, seed):
        for name, numbers in statistics(weights).items():
            resampled[name].append(numbers)
    return {
        name: _percentile_interval(float(value[0]), np.concatenate(resampled[name]))
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def wilson_interval(count: int, total: int) -> WilsonInterval:
    """Compute the score interval of a proportion of independent trials; it is sound for few and for none.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. With p = count /
    total, n = total and z the normal quantile: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    """
    if total == 0:
        return WilsonInterval(0, 0, 0.0, 1.0)
    proportion, z = count / total, _NORMAL_QUANTILE
    centre = proportion + z**2 / (2 * total)
    half = z * sqrt(proportion * (1 - proportion) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    low = 0.0 if count == 0 else (centre - half) / scale
    high = 1.0 if count == total else (centre + half) / scale
    return WilsonInterval(count, total, low, high)


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


def _percentile_interval(value: float, resampled: Values) -> Interval:
    low, high = np.percentile(resampled[np.isfinite(resampled)], [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))
