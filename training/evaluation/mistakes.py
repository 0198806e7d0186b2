"""Scans classified wrongly: how confidently, and between which classes most often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.scans import Scan
from training.metrics.classified import SplitOutputs

_NUM_CONFUSED_PAIRS = 3


@dataclass(frozen=True)
class Mistake:
    """A scan classified wrongly, with the probability of the predicted class."""

    scan: Scan
    predicted: int
    confidence: float


@dataclass(frozen=True)
class ConfusedPair:
    """Scans of class `true` predicted as one other class, the most confident first; `num_true` have the class."""

    true: int
    predicted: int
    num_true: int
    mistakes: tuple[Mistake, ...]


def find_mistakes(classified: SplitOutputs) -> tuple[Mistake, ...]:
    """List the scans whose most probable class is not the true one, the most confident first."""
    predicted, confidence = classified.probabilities.argmax(axis=1), classified.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != classified.labels)
    mistakes = [Mistake(classified.scans[index], int(predicted[index]), float(confidence[index])) for index in wrong]
    return tuple(sorted(mistakes, key=lambda mistake: -mistake.confidence))


def find_confused_pairs(classified: SplitOutputs, mistakes: Sequence[Mistake]) -> tuple[ConfusedPair, ...]:
    """List the pairs of true and predicted class with the most mistakes, the largest first."""
    by_pair: dict[tuple[int, int], list[Mistake]] = {}
    for mistake in mistakes:
        by_pair.setdefault((mistake.scan.label, mistake.predicted), []).append(mistake)
    pairs = [
        ConfusedPair(true, predicted, int((classified.labels == true).sum()), tuple(members))
        for (true, predicted), members in by_pair.items()
    ]
    return tuple(sorted(pairs, key=lambda pair: -len(pair.mistakes))[:_NUM_CONFUSED_PAIRS])
