"""Scans that were called another class: which, how confidently, and between which classes most often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.scans import Scan
from training.metrics.judged import Judged

_NUM_CONFUSED_PAIRS = 3


@dataclass(frozen=True)
class Mistake:
    """A scan that was called another class, and how probable that class was said to be."""

    scan: Scan
    predicted: int
    confidence: float


@dataclass(frozen=True)
class ConfusedPair:
    """Scans of one class that were called one other class, the most confident first; `num_true` has the class."""

    true: int
    predicted: int
    num_true: int
    mistakes: tuple[Mistake, ...]


def find_mistakes(judged: Judged) -> tuple[Mistake, ...]:
    """List the scans whose most probable class is not the true one, the most confident first."""
    predicted, confidence = judged.probabilities.argmax(axis=1), judged.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != judged.labels)
    mistakes = [Mistake(judged.scans[index], int(predicted[index]), float(confidence[index])) for index in wrong]
    return tuple(sorted(mistakes, key=lambda mistake: -mistake.confidence))


def find_confused_pairs(judged: Judged, mistakes: Sequence[Mistake]) -> tuple[ConfusedPair, ...]:
    """List the pairs of true and predicted class with the most mistakes, the largest first."""
    by_pair: dict[tuple[int, int], list[Mistake]] = {}
    for mistake in mistakes:
        by_pair.setdefault((mistake.scan.label, mistake.predicted), []).append(mistake)
    pairs = [
        ConfusedPair(true, predicted, int((judged.labels == true).sum()), tuple(members))
        for (true, predicted), members in by_pair.items()
    ]
    return tuple(sorted(pairs, key=lambda pair: -len(pair.mistakes))[:_NUM_CONFUSED_PAIRS])
