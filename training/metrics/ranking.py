"""How well scores rank the images of a class before the others: ROC curve, its area, and average precision."""

import numpy as np
import numpy.typing as npt
import sklearn.metrics

from training.metrics.intervals import Values, Weights

Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


def roc_auc(positive: Mask, scores: Scores, weights: Weights) -> Values:
    """Compute the area under the ROC curve: the probability that a positive scores higher than a negative.

    Ties count one half (Hanley and McNeil, Radiology 1982).

    Args:
        positive: (N,), the images of the class.
        scores: (N,), higher for the class.
        weights: (B, N).

    Returns:
        (B,); NaN where one side has no weight.
    """
    positives, negatives = _sum_by_score(positive, scores, weights)
    below = negatives.cumsum(axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return divide((positives * below).sum(axis=1), pairs)


def average_precision(positive: Mask, scores: Scores, weights: Weights) -> Values:
    """Compute the sum over thresholds of precision times gain in sensitivity, (B,); NaN without positives."""
    positives, negatives = (sums[:, ::-1] for sums in _sum_by_score(positive, scores, weights))
    true, false = positives.cumsum(axis=1), negatives.cumsum(axis=1)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    return divide((precision * positives).sum(axis=1), positives.sum(axis=1))


def roc_curve(positive: Mask, scores: Scores) -> list[tuple[float, float]]:
    """List the corners of the ROC curve, (1 - specificity, sensitivity), from (0, 0) to (1, 1)."""
    x, y, _ = sklearn.metrics.roc_curve(positive, scores)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def divide(numerator: Values, denominator: Values) -> Values:
    """Divide; NaN where the denominator is 0."""
    quotient: Values = np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
    return quotient


def weighted_means(values: Values, weights: Weights) -> Values:
    """Compute the mean of each column of (N, M), without NaN, for weights (B, N): (B, M), NaN where nothing counts."""
    counted = np.isfinite(values)
    return divide(weights @ np.where(counted, values, 0), weights @ counted)


def _sum_by_score(positive: Mask, scores: Scores, weights: Weights) -> tuple[Weights, Weights]:
    """Sum the weights of positives and of negatives at each distinct score, from low to high, (B, T) each."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered, sides = weights[:, order], positive[order]
    return np.add.reduceat(ordered * sides, starts, axis=1), np.add.reduceat(ordered * ~sides, starts, axis=1)
