"""Whom the model sends to a person: what is said about each scan besides its probabilities, and what it is worth."""

from dataclasses import dataclass

import numpy as np

from model.card import ModelCard
from model.reliability.reliability import ReliabilityCheck, keep_classes
from training.metrics.judged import Judged
from training.metrics.metrics import Mean, find_healthy_class
from training.metrics.ranking import Mask

LEVELS = ("none", "consider", "required")


@dataclass(frozen=True)
class Reviews:
    """What is said about N scans.

    Attributes:
        levels: Of each scan one of `LEVELS`.
        sets: (N, K), the classes in each prediction set; None where the card has no sets.
        outliers: (N,), scans unlike those trained on; None where the card has no detector.
    """

    levels: tuple[str, ...]
    sets: Mask | None = None
    outliers: Mask | None = None


def review_scans(card: ModelCard, judged: Judged) -> Reviews | None:
    """Ask of every scan what the service would say of it; None where the card has no thresholds."""
    if card.review is None:
        return None
    verdicts = ReliabilityCheck(card).assess(judged.probabilities, judged.features, judged.appearances)
    levels = tuple(verdict.review.level.value for verdict in verdicts if verdict.review)
    kept = keep_classes(judged.probabilities, card.conformal) if card.conformal else None
    outliers = np.array([verdict.ood.outlier for verdict in verdicts if verdict.ood], bool)
    return Reviews(levels, kept, outliers if card.outlier_detector else None)


def review_means(card: ModelCard, judged: Judged, reviews: Reviews) -> dict[str, Mean]:
    """Define what reviews are worth on a split.

    - share_LEVEL, error_rate_LEVEL: part of all scans at this level, and part of those that are wrong.
    - missed_tumors_sent_to_review: of the tumours called healthy, those whose level is not "none".
    - coverage, set_size: prediction sets that hold the true class, and the mean number of classes in a set.
    - outlier_rate: scans of the split, which are no outliers, taken for such.
    """
    everywhere = np.ones(len(judged.labels), bool)
    levels, predicted = np.array(reviews.levels), judged.probabilities.argmax(axis=1)
    means = {}
    for level in LEVELS:
        means[f"share_{level}"] = Mean(levels == level, everywhere)
        means[f"error_rate_{level}"] = Mean(predicted != judged.labels, levels == level)
    healthy = find_healthy_class(card.classes)
    if healthy is not None:
        missed = (predicted == healthy) & (judged.labels != healthy)
        means["missed_tumors_sent_to_review"] = Mean(levels != "none", missed)
    if reviews.sets is not None:
        means["coverage"] = Mean(reviews.sets[np.arange(len(everywhere)), judged.labels], everywhere)
        means["set_size"] = Mean(reviews.sets.sum(axis=1), everywhere)
    if reviews.outliers is not None:
        means["outlier_rate"] = Mean(reviews.outliers, everywhere)
    return means
