"""The tumour probability that sends a scan called healthy to review, chosen on tumours under simulated shifts."""

import math
from collections.abc import Sequence

import numpy as np

from model.card import ModelCard, ReviewThresholds
from model.engines.engine import Engine
from training.data.scans import Scan
from training.metrics.intervals import Values
from training.metrics.metrics import find_healthy_class
from training.metrics.ranking import Mask
from training.metrics.reviews import LEVELS
from training.robustness.shift import choose_scans
from training.robustness.shift_catalogue import SHIFTS, UNCHANGED
from training.robustness.shifted_verdicts import (
    Condition,
    Verdicts,
    classify_conditions,
    create_classifier,
    list_conditions,
)

_CONDITIONS = list_conditions([shift for shift in SHIFTS if not shift.shortcut])
_NUM_TUMORS = 1000  # shifted at most: 27,000 images
_MIN_MISSED = 10  # fewer are too few for a shift by itself
_FLAGGED = 0.97  # of them to be sent to review; 0.95 on other scans is what is wanted
_MAX_HEALTHY_REVIEWED = 0.15  # of the healthy scans, unshifted, for any reason: more would help nobody
_LEAST_HEALTHY_REVIEWED = 0.02  # for this reason alone, however many are reviewed for others


def count_shifted(scans: Sequence[Scan], healthy: int | None) -> int:
    """Count the images that `fit_review` classifies."""
    if healthy is None:
        return 0
    num_healthy = sum(scan.label == healthy for scan in scans)
    return num_healthy + min(len(scans) - num_healthy, _NUM_TUMORS) * len(_CONDITIONS)


def fit_review(
    engine: Engine, card: ModelCard, scans: Sequence[Scan], elsewhere: Sequence[Scan] = ()
) -> ReviewThresholds:
    """Choose the tumour probability that sends a scan called healthy to review; see `choose_tumor_probability`.

    Args:
        card: With temperature, prediction sets and outlier detector as they will be served.
        scans: That were not trained on.
        elsewhere: Likewise, scans of other hospitals with a tumour; they count as one more shift.

    Returns:
        The card's thresholds, or the default ones; unchanged where no class is healthy, or none but that.
    """
    healthy = find_healthy_class(card.classes)
    review = card.review or ReviewThresholds()
    if healthy is None:
        return review
    review = review.model_copy(update={"healthy_class": card.classes[healthy], "tumor_probability": 1.0})
    classify = create_classifier(engine, card.model_copy(update={"review": review}))
    if len({scan.label == healthy for scan in scans}) < 2:
        return review
    tumors = choose_scans([scan for scan in scans if scan.label != healthy], _NUM_TUMORS, seed=0)
    shifted = classify_conditions(classify, tumors, _CONDITIONS)
    unchanged = [Condition(UNCHANGED, 0.0)]
    if elsewhere:
        shifted += classify_conditions(classify, elsewhere, unchanged)
    (unshifted,) = classify_conditions(classify, [scan for scan in scans if scan.label == healthy], unchanged)
    doubts, reviewed = 1 - unshifted.probabilities[:, healthy], np.zeros(len(unshifted.probabilities), bool)
    if unshifted.levels is not None:
        reviewed = unshifted.levels != LEVELS[0]
    chosen = choose_tumor_probability(shifted, doubts, healthy, reviewed)
    return review.model_copy(update={"tumor_probability": chosen})


def choose_tumor_probability(
    shifted: Sequence[Verdicts], doubts: Values, healthy: int, reviewed: Mask | None = None
) -> float:
    """Find the largest threshold that sends `_FLAGGED` of the missed tumours to review under each shift.

    Shifts under which few tumours are missed count together, as one.

    Args:
        shifted: On tumours, under each shift; their levels are those that other reasons give.
        doubts: (H,), the tumour probability of healthy scans as they are.
        healthy: The label of the healthy class.
        reviewed: (H,), the healthy scans that other reasons send to review; by default none.

    Returns:
        The threshold; not so small that more than `_MAX_HEALTHY_REVIEWED` of the healthy scans exceed it or are
        reviewed for other reasons.
    """
    missed = [_list_missed(verdicts, healthy) for verdicts in shifted]
    often = [tumors for tumors in missed if len(tumors) >= _MIN_MISSED]
    seldom = [tumors for tumors in missed if len(tumors) < _MIN_MISSED]
    pooled = [np.concatenate(seldom)] if seldom else []
    wanted = [threshold for tumors in often + pooled if (threshold := _threshold_for(tumors)) is not None]
    others = np.zeros(len(doubts), bool) if reviewed is None else reviewed
    part = max(_MAX_HEALTHY_REVIEWED - float(others.mean()), _LEAST_HEALTHY_REVIEWED)
    smallest = float(np.quantile(np.where(others, 0.0, doubts), 1 - part))
    return max(min(wanted, default=ReviewThresholds().tumor_probability), smallest)


def _list_missed(verdicts: Verdicts, healthy: int) -> Values:
    """List the tumour probability of missed tumours; infinite where other reasons send the scan to review."""
    missed = verdicts.probabilities.argmax(axis=1) == healthy
    doubts: Values = 1 - verdicts.probabilities[missed, healthy]
    if verdicts.levels is not None:
        doubts[verdicts.levels[missed] != LEVELS[0]] = np.inf
    return doubts


def _threshold_for(tumors: Values) -> float | None:
    """Find the largest threshold below `_FLAGGED` of them; None where they are too few, or need none."""
    if len(tumors) < _MIN_MISSED:
        return None
    lowest = np.sort(tumors)[math.floor((1 - _FLAGGED) * len(tumors))]
    return float(np.nextafter(lowest, 0)) if np.isfinite(lowest) else None
