"""Means over images that count more or less often, as a bootstrap asks for them."""

import numpy as np

from training.metrics.intervals import Values, Weights


def weighted_means(values: Values, weights: Weights) -> Values:
    """Compute the mean of each column for several weightings of the rows.

    Args:
        values: (N, M), a row an image; NaN where an image does not count for a column.
        weights: (B, N).

    Returns:
        (B, M); NaN where nothing counts.
    """
    counted = np.isfinite(values)
    totals = weights @ counted
    sums = weights @ np.where(counted, values, 0)
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
