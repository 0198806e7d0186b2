"""Whether two systems differ by more than chance on the same scans."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from model.card import Interval
from training.metrics.intervals import bootstrap
from training.metrics.ranking import Mask


@dataclass(frozen=True)
class PairedTest:
    """Two systems on the same scans.

    Attributes:
        only_first: Scans that only the first classified correctly; `only_second` likewise.
        p_value: Of McNemar's exact test, which takes scans for independent.
        difference: Accuracy of the first less that of the second, with an interval from a bootstrap over groups.
    """

    only_first: int
    only_second: int
    p_value: float
    difference: Interval


def compare_pair(first: Mask, second: Mask, groups: Sequence[str]) -> PairedTest:
    """Compare two systems by which scans, (N,), they classified correctly.

    If both are equally good, each scan that only one classified correctly is as likely the first's as the second's: a
    binomial test (McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika
    1947; the exact form).
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    gap = first.astype(np.float64) - second
    interval = bootstrap(lambda weights: {"difference": weights @ gap / weights.sum(axis=1)}, groups)["difference"]
    return PairedTest(only_first, only_second, p_value, interval)


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Adjust for several tests: Holm, "A simple sequentially rejective multiple test procedure", 1979."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return [float(value) for value in adjusted]
