"""One recipe on every fold: how far a result depends on who happened to be tested."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.card import Interval, SplitMetrics
from model.engines.loading import load_engine
from training.data.carving import Fold
from training.data.splits import split_data
from training.fitting.epochs import STATE_FILE
from training.fitting.fit import fit
from training.fitting.options import FitOptions, describe_options
from training.fitting.run_file import RunStart, save_start
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.metrics import measure
from training.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """Metrics over folds.

    Attributes:
        folds: Of each fold, by weights that saw none of its groups.
        pooled: Of all folds' predictions together, with intervals from a bootstrap over groups. They come from several
            networks: thresholds and calibration are those of a family rather than of one.
        outputs: These predictions, of `classes`.
        sources: SHA-256 of each file besides the scans that the networks learnt from, as in a card's `training`.
    """

    recipe: Recipe
    sources: dict[str, str]
    classes: tuple[str, ...]
    folds: tuple[SplitMetrics, ...]
    pooled: SplitMetrics
    outputs: SplitOutputs

    def summarize(self) -> Iterator[tuple[str, float, float, Interval]]:
        """List each metric with its mean and standard deviation over folds, and the pooled value."""
        for name, interval in self.pooled.__pydantic_extra__.items():
            values = [fold.__pydantic_extra__[name].value for fold in self.folds if name in fold.__pydantic_extra__]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            yield name, float(np.mean(values)), spread, interval


def cross_validate(recipe: Recipe, options: FitOptions, num_folds: int) -> CrossValidation:
    """Fit and test `num_folds` times; folds are stratified and made of whole groups.

    Each fold is a run of its own in `options.out/fold-N`. With `options.resume` finished epochs are not repeated.

    Raises:
        CheckpointError, DataError, PretrainedError, RunError: As `training.fitting.fit.fit`.
    """
    save_start(options.out, RunStart("cross-validate", recipe, {**describe_options(options), "folds": num_folds}))
    folds = [Fold(number, num_folds) for number in range(1, num_folds + 1)]
    classified, trainings = zip(*(_run_fold(recipe, options, fold) for fold in folds), strict=True)
    classes = split_data(options.data, "grouped", options.groups, recipe.seed, folds[0], recipe.class_map).classes
    outputs = _pool(classified)
    metrics = tuple(_measure(each, classes) for each in classified)
    return CrossValidation(recipe, trainings[0]["sources"], classes, metrics, _measure(outputs, classes), outputs)


def _run_fold(recipe: Recipe, options: FitOptions, fold: Fold) -> tuple[SplitOutputs, dict[str, Any]]:
    """Fit a fold and classify its test part; return also the `training` of its card."""
    logger.info("fold %d of %d", fold.number, fold.count)
    out = options.out / f"fold-{fold.number}"
    resume = options.resume and (out / STATE_FILE).exists()
    report = fit(recipe, replace(options, out=out, split="grouped", resume=resume), fold)
    tests = split_data(options.data, "grouped", options.groups, recipe.seed, fold, recipe.class_map).tests
    engine = load_engine(report.exported)
    return classify_splits(engine, tests)[0], engine.card.training


def _pool(classified: Sequence[SplitOutputs]) -> SplitOutputs:
    names = ("labels", "logits", "features", "appearances", "probabilities")
    arrays = {name: np.concatenate([getattr(each, name) for each in classified]) for name in names}
    scans = tuple(scan for each in classified for scan in each.scans)
    return SplitOutputs(
        classified[0].name, scans, groups=[group for each in classified for group in each.groups], **arrays
    )


def _measure(outputs: SplitOutputs, classes: Sequence[str]) -> SplitMetrics:
    return measure(outputs.labels, outputs.probabilities, classes, outputs.groups)
