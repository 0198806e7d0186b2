"""An evaluation as plain types: `evaluation.json`, from which the model card is written."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from model.card import Interval
from training.evaluation.elsewhere import Elsewhere
from training.evaluation.evaluation import Evaluation, SplitEvaluation
from training.evaluation.mistakes import ConfusedPair, Mistake
from training.metrics.intervals import WilsonInterval
from training.robustness.shift import ShiftMeasurement

MAX_EXAMPLES = 4  # of a confused pair
_SHIFT = TypeAdapter(ShiftMeasurement | None)
_ELSEWHERE = TypeAdapter(Elsewhere | None)


def describe_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Describe all splits; see `relative_path`."""
    options = evaluation.options
    return {
        "checkpoint": asdict(evaluation.classifier.identity),
        "classes": list(evaluation.classes),
        "groups": options.groups is not None,
        "prevalence": options.prevalence,
        "shift": _SHIFT.dump_python(evaluation.shift, mode="json"),
        "elsewhere": _ELSEWHERE.dump_python(evaluation.elsewhere, mode="json"),
        "splits": {split.name: _describe_split(split, evaluation) for split in evaluation.splits},
    }


def relative_path(evaluation: Evaluation, path: Path) -> str:
    """Name a scan by its place in the data folder, or in that of scans from elsewhere or of their table."""
    options = evaluation.options
    for root in (options.data, options.external, options.external and options.external.parent):
        if root and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


def _describe_split(split: SplitEvaluation, evaluation: Evaluation) -> dict[str, Any]:
    classes = evaluation.classes
    described: dict[str, Any] = {
        "checkpoint": asdict(split.classifier.identity),
        "training": split.classifier.card.training,
        "seen_in_training": split.seen,
        "images": split.metrics.images,
        "groups": split.metrics.groups,
        "metrics": _dump(split.metrics.__pydantic_extra__),
        "wilson": _dump_wilson(split.wilson),
        "per_class": {name: _dump(split.per_class[label].intervals) for label, name in enumerate(classes)},
        "per_class_wilson": {name: _dump_wilson(split.per_class[label].wilson) for label, name in enumerate(classes)},
        "confusion_matrix": split.confusion.tolist(),
        "calibration_bins": [asdict(found) for found in split.bins],
        "high_confidence_errors": [_describe_mistake(mistake, evaluation) for mistake in split.confident_mistakes],
        "confused_pairs": [_describe_pair(pair, evaluation) for pair in split.confused_pairs],
    }
    if split.predictive_values:
        described["predictive_values"] = _dump(split.predictive_values)
    if split.reviews is not None:
        reviews = split.reviews
        described["reviews"] = {"metrics": _dump(reviews.intervals), "wilson": _dump_wilson(reviews.wilson)}
    return described


def _dump_wilson(intervals: dict[str, WilsonInterval]) -> dict[str, dict[str, float]]:
    return {name: asdict(interval) for name, interval in intervals.items()}


def _describe_pair(pair: ConfusedPair, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "true": evaluation.classes[pair.true],
        "predicted": evaluation.classes[pair.predicted],
        "count": len(pair.mistakes),
        "of": pair.num_true,
        "examples": [_describe_mistake(mistake, evaluation) for mistake in pair.mistakes[:MAX_EXAMPLES]],
    }


def _describe_mistake(mistake: Mistake, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "path": relative_path(evaluation, mistake.scan.path),
        "true": evaluation.classes[mistake.scan.label],
        "predicted": evaluation.classes[mistake.predicted],
        "confidence": mistake.confidence,
    }


def _dump(intervals: dict[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: interval.model_dump() for name, interval in intervals.items()}
