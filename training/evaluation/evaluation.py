"""Weights measured on the test splits of a data folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tyro.conf import Positional

from model.card import Interval, ModelCard, SplitMetrics
from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from model.engines.engine import Engine
from model.engines.loading import load_engine
from model.errors import CheckpointError
from training.data.external_scans import EXTERNAL_TEST, find_external_test
from training.data.scans import TESTING, TRAINING
from training.data.splits import TestSplit, find_test_splits
from training.errors import DataError, UsageError
from training.evaluation.elsewhere import Elsewhere, count_sources, find_table, load_elsewhere, measure_elsewhere
from training.evaluation.mistakes import ConfusedPair, Mistake, find_confused_pairs, find_mistakes
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.intervals import WilsonInterval, bootstrap
from training.metrics.metrics import (
    CalibrationBin,
    Mean,
    calibration_bins,
    class_means,
    class_metrics,
    compute_means,
    confusion_matrix,
    find_healthy_class,
    measure,
    split_means,
    wilson_intervals,
)
from training.metrics.prevalence import predictive_values
from training.metrics.reviews import review_means, review_scans
from training.robustness.shift import ShiftMeasurement, measure_shift
from training.robustness.shifted_verdicts import create_classifier
from training.run import SHIPPED_CHECKPOINT

GROUPED_TEST = "grouped_test"
HIGH_CONFIDENCE = 0.9


@dataclass(frozen=True)
class EvaluationOptions:
    """Weights and the scans to measure them on.

    Attributes:
        data: Folder with `Testing/CLASS/` and, for groups, `Training/CLASS/`; any other is taken as `images`.
        checkpoint: `.pth` or `.onnx`.
        groups: Table with the columns path, group and split.
        images: Scans from elsewhere: a folder of class folders, or a table with the columns path, class and, perhaps,
            group.
        elsewhere: Table of scans of which less is known than the class, as for `fit --coarse`, or folder with one
            called elsewhere.csv; its validation and calibration parts are measured by source, sequence and plane.
        official_checkpoint: Weights of the same recipe, trained on the official Training folder, for Testing.
        prevalence: Share of scans that show a tumour, for predictive values; in (0, 1).
        shift: Measure the grouped test, or else the official one, under simulated shifts too: takes long.
        shift_scans: Shift at most this many scans, drawn with the mixture of classes kept; by default all.
        num_threads: Cores that compute.
    """

    data: Positional[Path | None] = None
    checkpoint: Path = SHIPPED_CHECKPOINT
    groups: Path | None = None
    images: Path | None = None
    elsewhere: Path | None = None
    official_checkpoint: Path | None = None
    prevalence: float | None = None
    shift: bool = False
    shift_scans: int | None = None
    num_threads: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError("--prevalence: expected a number between 0 and 1")
        if self.shift_scans is not None and self.shift_scans < 0:
            raise ValueError("--shift-scans: expected 0 or more")

    @property
    def external(self) -> Path | None:
        """The scans from elsewhere: `images`, or `data` where it is no folder to train on."""
        is_external = self.data and not self.groups and not (self.data / TRAINING).is_dir()
        return self.images or (self.data if is_external else None)


@dataclass(frozen=True)
class Numbers:
    """Named numbers with intervals from the bootstrap, and the proportions among them with Wilson's."""

    intervals: dict[str, Interval]
    wilson: dict[str, WilsonInterval]


@dataclass(frozen=True)
class SplitEvaluation:
    """Weights measured on one split.

    Attributes:
        seen: Whether training saw scans of this split, if it ran on these data.
        per_class: In the order of the card's classes.
        confident_mistakes: Those of at least `HIGH_CONFIDENCE`, the most confident first.
        predictive_values: At the prevalence asked for, if any.
        reviews: None where the card has no thresholds.
    """

    classified: SplitOutputs
    classifier: Classifier
    seen: bool
    metrics: SplitMetrics
    wilson: dict[str, WilsonInterval]
    per_class: tuple[Numbers, ...]
    confusion: npt.NDArray[np.int64]
    bins: tuple[CalibrationBin, ...]
    confident_mistakes: tuple[Mistake, ...]
    confused_pairs: tuple[ConfusedPair, ...]
    predictive_values: dict[str, Interval]
    reviews: Numbers | None

    @property
    def name(self) -> str:
        """The split's name."""
        return self.classified.name


@dataclass(frozen=True)
class Evaluation:
    """Weights measured on the splits of a data folder; `shift` and `elsewhere` are None unless asked for."""

    options: EvaluationOptions
    classifier: Classifier
    splits: tuple[SplitEvaluation, ...]
    shift: ShiftMeasurement | None
    elsewhere: Elsewhere | None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the labels."""
        return self.classifier.card.classes


def evaluate(options: EvaluationOptions) -> Evaluation:
    """Measure weights on the official test split, the part of it without copies, the grouped and the external one.

    With `official_checkpoint` that one is measured on the first two, so that no column holds scans its weights saw.

    Raises:
        CheckpointError: If weights cannot be loaded, or the two files know different classes.
        DataError: If the folder is not as expected, has unknown classes, holds a scan that cannot be read, or has no
            class of healthy scans where a prevalence is given.
        UsageError: If no scans are named, or options are about others.
    """
    if options.data is None and (options.groups or options.official_checkpoint):
        raise UsageError("--groups and --official-checkpoint are about the scans of DIR: name it")
    if not (options.data or options.images or options.elsewhere):
        raise UsageError("expected DIR, --images or --elsewhere")
    engine = load_engine(options.checkpoint, options.num_threads)
    official = _load_official(options, engine)
    card = engine.card
    table = find_table(options.elsewhere) if options.elsewhere else None
    coarse = load_elsewhere(table, card) if table else ()
    splits = [split for split in _find_splits(options, card) if split.scans]
    if not splits and not coarse:
        raise DataError(f"expected {options.data}/{TESTING}, or a table of groups with a test part; found neither")
    own = [split for split in splits if split.name in (GROUPED_TEST, EXTERNAL_TEST)]
    rest = [split for split in splits if split not in own]
    evaluations = (*_evaluate_splits(official, rest, options), *_evaluate_splits(engine, own, options))
    shift = None
    if options.shift and splits:
        shifted, split = (engine, own[0]) if own else (official, rest[0])
        classify, healthy = create_classifier(shifted, shifted.card), find_healthy_class(card.classes)
        shift = measure_shift(classify, split, healthy, num_scans=options.shift_scans)
    elsewhere = Elsewhere(hash_file(table), count_sources(coarse), measure_elsewhere(engine, coarse)) if table else None
    return Evaluation(options, Classifier(engine), evaluations, shift, elsewhere)


def _find_splits(options: EvaluationOptions, card: ModelCard) -> Iterator[TestSplit]:
    if options.data and options.data != options.external:
        yield from find_test_splits(options.data, card.classes, options.groups, card.class_map)
    if options.external:
        yield find_external_test(options.external, card.classes, card.class_map)


def measure_means(means: dict[str, Mean], groups: Sequence[str]) -> Numbers:
    """Compute means with both kinds of intervals."""
    return Numbers(bootstrap(lambda weights: compute_means(means, weights), groups), wilson_intervals(means))


def _load_official(options: EvaluationOptions, engine: Engine) -> Engine:
    if options.official_checkpoint is None:
        return engine
    official = load_engine(options.official_checkpoint, options.num_threads)
    if official.card.classes != engine.card.classes:
        raise CheckpointError(f"{options.official_checkpoint}: expected the classes {', '.join(engine.card.classes)}")
    return official


def _evaluate_splits(
    engine: Engine, splits: Sequence[TestSplit], options: EvaluationOptions
) -> tuple[SplitEvaluation, ...]:
    if not splits:
        return ()
    classifier = Classifier(engine)
    return tuple(_evaluate_split(classifier, classified, options) for classified in classify_splits(engine, splits))


def _evaluate_split(classifier: Classifier, classified: SplitOutputs, options: EvaluationOptions) -> SplitEvaluation:
    card = classifier.card
    labels, probabilities = classified.labels, classified.probabilities
    mistakes, reviews = find_mistakes(classified), review_scans(card, classified)
    has_groups = any(scan.group for scan in classified.scans)
    return SplitEvaluation(
        classified=classified,
        classifier=classifier,
        seen=_was_seen(card, classified.name),
        metrics=measure(labels, probabilities, card.classes, classified.groups if has_groups else None),
        wilson=wilson_intervals(split_means(labels, probabilities, card.classes)),
        per_class=tuple(_measure_class(classified, label) for label in range(len(card.classes))),
        confusion=confusion_matrix(labels, probabilities),
        bins=calibration_bins(labels, probabilities),
        confident_mistakes=tuple(mistake for mistake in mistakes if mistake.confidence >= HIGH_CONFIDENCE),
        confused_pairs=find_confused_pairs(classified, mistakes),
        predictive_values=_measure_predictive_values(card, classified, options.prevalence),
        reviews=measure_means(review_means(card, classified, reviews), classified.groups) if reviews else None,
    )


def _measure_class(classified: SplitOutputs, label: int) -> Numbers:
    labels, probabilities = classified.labels, classified.probabilities
    intervals = bootstrap(lambda weights: class_metrics(labels, probabilities, label, weights), classified.groups)
    return Numbers(intervals, wilson_intervals(class_means(labels, probabilities, label)))


def _measure_predictive_values(
    card: ModelCard, classified: SplitOutputs, prevalence: float | None
) -> dict[str, Interval]:
    if prevalence is None:
        return {}
    return bootstrap(
        lambda weights: predictive_values(
            classified.labels, classified.probabilities, card.classes, prevalence, weights
        ),
        classified.groups,
    )


def _was_seen(card: ModelCard, split: str) -> bool:
    """A grouped training part takes scans from Testing too; an official one holds scans of the grouped test."""
    if split == EXTERNAL_TEST:
        return False
    trained_on = card.training.get("split")
    return trained_on != "common" and (trained_on == "grouped") != (split == GROUPED_TEST)
