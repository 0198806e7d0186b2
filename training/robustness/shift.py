"""Weights on the same scans as another scanner or hospital might deliver them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.card import Interval
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.errors import DataError
from training.metrics.classified import groups_of, labels_of
from training.metrics.intervals import bootstrap
from training.metrics.metrics import Labels, expected_calibration_error
from training.metrics.ranking import weighted_means
from training.metrics.reviews import LEVELS
from training.robustness.shift_catalogue import SHIFTS, UNCHANGED, Shift
from training.robustness.shifted_verdicts import Classify, Condition, Verdicts, classify_conditions, list_conditions


@dataclass(frozen=True)
class ShiftScore:
    """Scores under one shift; parts are of all scans unless stated otherwise.

    Attributes:
        shift: Its name, "none" for the scans as they are.
        unit: Of `severity`.
        shortcut: Whether the brain is unchanged, so that the predictions should be.
        agreement: Predictions equal to those for the scan as it is.
        ece: Expected calibration error.
        review: Part of the scans by level; None without review.
        outliers: Scans flagged as unlike those trained on; None without a detector.
        missed_tumor_rate: Of the tumours, those called healthy; None where no class is healthy or none a tumour.
        missed_tumors: Number of these.
        missed_and_flagged: Of these, the part sent to review; None where there are none, or no review.
    """

    shift: str
    severity: float
    unit: str
    shortcut: bool
    accuracy: Interval
    agreement: Interval
    ece: float
    review: dict[str, float] | None
    outliers: float | None
    missed_tumor_rate: Interval | None
    missed_tumors: int
    missed_and_flagged: Interval | None


@dataclass(frozen=True)
class ShiftMeasurement:
    """The scans of a split as they are, and under every shift and severity."""

    split: str
    images: int
    groups: int
    reference: ShiftScore
    scores: tuple[ShiftScore, ...]


def measure_shift(
    classify: Classify,
    split: TestSplit,
    healthy: int | None,
    *,
    num_scans: int | None = None,
    seed: int = 0,
    shifts: Sequence[Shift] = SHIFTS,
) -> ShiftMeasurement:
    """Classify scans as they are and under simulated shifts; each is decoded once.

    Args:
        classify: See `create_classifier`.
        healthy: The label of scans without a tumour, if there is such a class.
        num_scans: Draw at most this many by `seed`, with the mixture of classes kept.

    Raises:
        DataError: If there is no scan, or one cannot be read; the message names it.
    """
    chosen = choose_scans(split.scans, num_scans, seed)
    if not chosen:
        raise DataError(f"{split.name}: no scans to classify under simulated shifts")
    conditions = list_conditions((UNCHANGED, *shifts))
    verdicts = classify_conditions(classify, chosen, conditions, seed)
    reference = verdicts[0].probabilities.argmax(axis=1)
    scores = [
        _score(condition, verdict, chosen, reference, healthy)
        for condition, verdict in zip(conditions, verdicts, strict=True)
    ]
    return ShiftMeasurement(split.name, len(chosen), len(set(groups_of(chosen))), scores[0], tuple(scores[1:]))


def choose_scans(scans: Sequence[Scan], num_scans: int | None, seed: int) -> list[Scan]:
    """Draw scans with the mixture of classes kept, in the order they came; None takes all."""
    if num_scans is None or num_scans >= len(scans):
        return list(scans)
    totals = np.bincount([scan.label for scan in scans])
    ranks = np.zeros_like(totals)
    positions = np.empty(len(scans))
    for index in np.random.default_rng(seed).permutation(len(scans)):
        label = scans[index].label
        positions[index] = (ranks[label] + 0.5) / totals[label]  # of the scan among its class, in (0, 1)
        ranks[label] += 1
    return [scans[index] for index in sorted(np.argsort(positions, kind="stable")[:num_scans])]


def _score(
    condition: Condition, verdicts: Verdicts, scans: Sequence[Scan], reference: Labels, healthy: int | None
) -> ShiftScore:
    labels = labels_of(scans)
    predicted, levels = verdicts.probabilities.argmax(axis=1), verdicts.levels
    tumors = labels != healthy if healthy is not None else np.zeros(len(labels), bool)
    missed = tumors & (predicted == healthy)
    columns = {  # NaN where a scan does not count; a column where none does gets no interval
        "accuracy": np.where(predicted == labels, 1.0, 0.0),
        "agreement": np.where(predicted == reference, 1.0, 0.0),
        "missed_tumor_rate": np.where(tumors, missed, np.nan),
        "missed_and_flagged": np.where(missed & (levels is not None), levels != "none", np.nan),
    }
    values = np.stack(list(columns.values()), axis=1)
    intervals = bootstrap(
        lambda weights: dict(zip(columns, weighted_means(values, weights).T, strict=True)), groups_of(scans)
    )
    return ShiftScore(
        shift=condition.shift.name,
        severity=condition.severity,
        unit=condition.shift.unit,
        shortcut=condition.shift.shortcut,
        accuracy=intervals["accuracy"],
        agreement=intervals["agreement"],
        ece=expected_calibration_error(labels, verdicts.probabilities),
        review=None if levels is None else {level: float((levels == level).mean()) for level in LEVELS},
        outliers=None if verdicts.outliers is None else float(verdicts.outliers.mean()),
        missed_tumor_rate=intervals.get("missed_tumor_rate"),
        missed_tumors=int(missed.sum()),
        missed_and_flagged=intervals.get("missed_and_flagged"),
    )
