"""Scans that the model sends to review, and how good that choice is."""

from dataclasses import dataclass

import numpy as np

from model.card import ModelCard
from model.kinds import KINDS
from model.reliability.reliability import ReliabilityCheck
from training.metrics.classified import SplitOutputs
from training.metrics.metrics import Mean, Probabilities, find_healthy_class
from training.metrics.ranking import Mask

LEVELS = ("none", "consider", "required")


@dataclass(frozen=True)
class Reviews:
    """Review of N scans.

    Attributes:
        levels: Of each scan one of `LEVELS`.
        sets: (N, K), the classes in each prediction set; None where the card has no sets.
        outliers: (N,), scans unlike those trained on; None where the card has no detector.
        kinds: (N, 3), probabilities of `model.kinds.KINDS`; None where the card cannot tell.
    """

    levels: tuple[str, ...]
    sets: Mask | None = None
    outliers: Mask | None = None
    kinds: Probabilities | None = None


def review_scans(card: ModelCard, classified: SplitOutputs) -> Reviews | None:
    """Review every scan as the service would; None where the card has no thresholds."""
    if card.review is None:
        return None
    verdicts = ReliabilityCheck(card).assess(classified.probabilities, classified.features, classified.appearances)
    levels = tuple(verdict.review.level.value for verdict in verdicts if verdict.review)
    sets = np.array([[name in (verdict.prediction_set or ()) for name in card.classes] for verdict in verdicts])
    outliers = np.array([verdict.ood.outlier for verdict in verdicts if verdict.ood], bool)
    kinds = np.array([[getattr(verdict.kind, kind) for kind in KINDS] for verdict in verdicts if verdict.kind])
    return Reviews(
        levels,
        sets if card.conformal else None,
        outliers if card.outlier_detector else None,
        kinds if card.kinds else None,
    )


def review_means(card: ModelCard, classified: SplitOutputs, reviews: Reviews) -> dict[str, Mean]:
    """Define the means over a split's reviews.

    - share_LEVEL, error_rate_LEVEL: part of all scans at this level, and part of those that are wrong.
    - missed_tumors_sent_to_review: of the tumours called healthy, those whose level is not "none".
    - healthy_sent_to_review: of the healthy scans, those whose level is not "none".
    - tumors_of_another_sequence: of the tumours, those on scans that are taken for another sequence than contrast T1.
    - coverage, set_size: prediction sets that hold the true class, and the mean number of classes in a set.
    - outlier_rate: scans of the split flagged as outliers, which they are not.
    """
    everywhere = np.ones(len(classified.labels), bool)
    levels, predicted = np.array(reviews.levels), classified.probabilities.argmax(axis=1)
    means = {}
    for level in LEVELS:
        means[f"share_{level}"] = Mean(levels == level, everywhere)
        means[f"error_rate_{level}"] = Mean(predicted != classified.labels, levels == level)
    healthy = find_healthy_class(card.classes)
    if healthy is not None:
        tumors, reviewed = classified.labels != healthy, levels != "none"
        means["missed_tumors_sent_to_review"] = Mean(reviewed, tumors & (predicted == healthy))
        means["healthy_sent_to_review"] = Mean(reviewed, ~tumors)
        if card.kinds is not None and reviews.kinds is not None:
            unfamiliar = reviews.kinds[:, KINDS.index("other_mr")] > card.kinds.other_mr
            means["tumors_of_another_sequence"] = Mean(unfamiliar, tumors)
    if reviews.sets is not None:
        means["coverage"] = Mean(reviews.sets[np.arange(len(everywhere)), classified.labels], everywhere)
        means["set_size"] = Mean(reviews.sets.sum(axis=1), everywhere)
    if reviews.outliers is not None:
        means["outlier_rate"] = Mean(reviews.outliers, everywhere)
    return means
