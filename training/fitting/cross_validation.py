"""One recipe on every fold: how far a result depends on who happened to be tested."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.card import SplitMetrics
from model.engines.loading import load_engine
from training.data.splits import Fold, split_data
from training.fitting.epochs import STATE_FILE
from training.fitting.fit import FitOptions, describe_options, fit
from training.fitting.run_file import RunStart, save_start
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.metrics import measure
from training.pages.tables import align, format_interval
from training.recipe import Recipe

RESULT_FILE = "cross_validation.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """Metrics over folds.

    Attributes:
        folds: Of each fold, by weights that saw none of its groups.
        pooled: Of all folds' predictions together, with intervals from a bootstrap over groups. They come from several
            networks: thresholds and calibration are those of a family rather than of one.
    """

    folds: tuple[SplitMetrics, ...]
    pooled: SplitMetrics


def cross_validate(recipe: Recipe, options: FitOptions, num_folds: int) -> CrossValidation:
    """Fit and test `num_folds` times; folds are stratified and made of whole groups.

    Each fold is a run of its own in `options.out/fold-N`. With `options.resume` finished epochs are not repeated.

    Raises:
        CheckpointError, DataError, PretrainedError, RunError: As `training.fitting.fit.fit`.
    """
    save_start(options.out, RunStart("cross-validate", recipe, {**describe_options(options), "folds": num_folds}))
    classified = [_run_fold(recipe, options, Fold(index, num_folds)) for index in range(num_folds)]
    classes = split_data(
        options.data, "grouped", options.groups, recipe.seed, Fold(0, num_folds), recipe.class_map
    ).classes
    result = CrossValidation(tuple(_measure([fold], classes) for fold in classified), _measure(classified, classes))
    content = {
        "recipe": recipe.model_dump(mode="json"),
        "folds": [metrics.model_dump(mode="json") for metrics in result.folds],
        "pooled": result.pooled.model_dump(mode="json"),
    }
    (options.out / RESULT_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return result


def format_cross_validation(result: CrossValidation) -> str:
    """Write mean and standard deviation over folds, and the pooled value, for a terminal."""
    title = f"{len(result.folds)} folds, {result.pooled.images} images of {result.pooled.groups} groups"
    rows = [["", "mean", "+- sd", "pooled, 95 % interval from a bootstrap over groups"]]
    for name, interval in result.pooled.__pydantic_extra__.items():
        values = [fold.__pydantic_extra__[name].value for fold in result.folds if name in fold.__pydantic_extra__]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        rows.append([name, f"{np.mean(values):.4f}", f"{spread:.4f}", format_interval(interval, 4)])
    return title + "\n" + align(rows, 2)


def _run_fold(recipe: Recipe, options: FitOptions, fold: Fold) -> SplitOutputs:
    logger.info("fold %d of %d", fold.index + 1, fold.count)
    out = options.out / f"fold-{fold.index}"
    resume = options.resume and (out / STATE_FILE).exists()
    report = fit(recipe, replace(options, out=out, split="grouped", resume=resume), fold)
    tests = split_data(options.data, "grouped", options.groups, recipe.seed, fold, recipe.class_map).tests
    return classify_splits(load_engine(report.exported), tests)[0]


def _measure(classified: Sequence[SplitOutputs], classes: Sequence[str]) -> SplitMetrics:
    labels = np.concatenate([fold.labels for fold in classified])
    probabilities = np.concatenate([fold.probabilities for fold in classified])
    return measure(labels, probabilities, classes, [group for fold in classified for group in fold.groups])
