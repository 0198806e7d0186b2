"""Scores of heat maps against boxes, averaged with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.card import Interval
from training.localization.box_findings import Finding
from training.localization.boxed_scans import BoxedScan
from training.metrics.intervals import Values, Weights, bootstrap
from training.metrics.ranking import weighted_means

_OVER_CLASSES = ""  # no name of a class


@dataclass(frozen=True)
class BoxScore:
    """Scores over the scans of a class, or as the mean of the classes.

    Attributes:
        pointing_game: Part of the scans whose map has its peak inside the box.
        energy_inside: Mean part of the map's sum that lies inside the box.
        pointing_game_correct: Over correctly classified scans alone; None if a class has none.
        energy_inside_correct: Likewise.
    """

    pointing_game: Interval
    energy_inside: Interval
    pointing_game_correct: Interval | None
    energy_inside_correct: Interval | None


def average_findings(
    findings: Sequence[Finding],
    scans: Sequence[BoxedScan],
    correct: npt.NDArray[np.bool_],
    classes: Sequence[str],
    seed: int,
) -> tuple[BoxScore, dict[str, BoxScore]]:
    """Average over the scans of each class and over the classes, with intervals from a bootstrap over groups.

    Args:
        findings: One a scan in `scans`.
        correct: (N,), the scans that were classified correctly.

    Returns:
        The mean over the classes that have scans, and the score of each of them.
    """
    labels = np.array([boxed.scan.label for boxed in scans])
    found = np.array([(finding.hit, finding.energy) for finding in findings], np.float64)
    measured = np.hstack([found, np.where(correct[:, None], found, np.nan)])  # (N, 4), as in BoxScore
    present = np.unique(labels).tolist()
    of_class = {classes[label]: np.where((labels == label)[:, None], measured, np.nan) for label in present}

    def statistics(weights: Weights) -> dict[str, Values]:
        means = {name: weighted_means(values, weights) for name, values in of_class.items()}
        means[_OVER_CLASSES] = np.mean(list(means.values()), axis=0)
        return {f"{name} {index}": column for name, mean in means.items() for index, column in enumerate(mean.T)}

    intervals = bootstrap(statistics, [boxed.scan.group for boxed in scans], seed)
    scores = {
        name: BoxScore(
            intervals[f"{name} 0"], intervals[f"{name} 1"], intervals.get(f"{name} 2"), intervals.get(f"{name} 3")
        )
        for name in (_OVER_CLASSES, *of_class)
    }
    return scores.pop(_OVER_CLASSES), scores
