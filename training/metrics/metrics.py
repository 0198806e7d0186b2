"""Metrics of predictions.

Each is computed for many weightings of the images at once, so that a bootstrap costs a few matrix products.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.metrics

from model.card import SplitMetrics
from training.metrics.intervals import Values, Weights, WilsonInterval, bootstrap, wilson_interval
from training.metrics.ranking import Mask, average_precision, divide, roc_auc

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

NUM_CALIBRATION_BINS = 15
_HEALTHY_NAMES = ("notumor", "notumour", "healthy", "normal")  # what data sets call a scan without a tumour


@dataclass(frozen=True)
class Mean:
    """The mean of `values` (N,) over `members` (N,); a proportion where the values are true or false."""

    values: npt.NDArray[Any]
    members: Mask

    def __call__(self, weights: Weights) -> Values:
        """Compute it for weights (B, N); (B,), NaN where there are no members."""
        return divide(weights @ np.where(self.members, self.values, 0), weights @ self.members)

    @property
    def is_proportion(self) -> bool:
        """Whether the values are true or false."""
        return self.values.dtype == bool

    def wilson(self) -> WilsonInterval:
        """Count a proportion, with Wilson's interval."""
        return wilson_interval(int((self.values & self.members).sum()), int(self.members.sum()))


@dataclass(frozen=True)
class CalibrationBin:
    """Images whose confidence lies in (low, high]: how many, their mean confidence and their accuracy."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def measure(
    labels: Labels,
    probabilities: Probabilities,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> SplitMetrics:
    """Measure predictions, with 95 % intervals from `bootstrap`.

    Without groups each image is its own, and the intervals are too narrow where images belong together.

    Args:
        labels: (N,), indices of classes.
        probabilities: (N, K), rows sum to 1.
        groups: The group of each image.
    """
    units = [str(index) for index in range(len(labels))] if groups is None else groups
    intervals = bootstrap(lambda weights: split_metrics(labels, probabilities, classes, weights), units, seed)
    return SplitMetrics(images=len(labels), groups=None if groups is None else len(set(groups)), **intervals)


def split_metrics(
    labels: Labels, probabilities: Probabilities, classes: Sequence[str], weights: Weights
) -> dict[str, Values]:
    """Compute the metrics of a split as a whole, (B,) each, for weights (B, N)."""
    by_class = [
        class_metrics(labels, probabilities, label, weights, ("sensitivity", "f1", "roc_auc"))
        for label in range(len(classes))
    ]
    return {
        **compute_means(split_means(labels, probabilities, classes), weights),
        "balanced_accuracy": _average([values["sensitivity"] for values in by_class]),
        "macro_f1": _average([values["f1"] for values in by_class]),
        "macro_roc_auc": _average([values["roc_auc"] for values in by_class]),
        "ece": _weighted_calibration_error(labels, probabilities, weights),
    }


def split_means(labels: Labels, probabilities: Probabilities, classes: Sequence[str]) -> dict[str, Mean]:
    """Define the means over a split's images.

    - missed_tumor_rate: tumours called healthy; false_alarm_rate: healthy scans called a tumour.
    - tumor_accuracy: of scans of tumours, classified among the tumour classes alone, if there are several.
    - nll: -log p(true class), in nats. brier: sum over classes of (p - [class is true])^2, in [0, 2]
      (Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 1950).

    Those about healthy scans are there only where a class is known to hold them.
    """
    predicted, everywhere = probabilities.argmax(axis=1), np.ones(len(labels), bool)
    true_probability = probabilities[np.arange(len(labels)), labels]
    means = {"accuracy": Mean(predicted == labels, everywhere)}
    healthy = find_healthy_class(classes)
    if healthy is not None:
        tumor = labels != healthy
        among_tumors = np.where(np.arange(len(classes)) == healthy, -1.0, probabilities).argmax(axis=1)
        means["missed_tumor_rate"] = Mean(predicted == healthy, tumor)
        means["false_alarm_rate"] = Mean(predicted != healthy, ~tumor)
        if len(classes) > 2:
            means["tumor_accuracy"] = Mean(among_tumors == labels, tumor)
    means["nll"] = Mean(_surprise(labels, probabilities), everywhere)
    means["brier"] = Mean((probabilities**2).sum(axis=1) - 2 * true_probability + 1, everywhere)
    return means


def class_metrics(
    labels: Labels, probabilities: Probabilities, label: int, weights: Weights, names: Sequence[str] | None = None
) -> dict[str, Values]:
    """Compute metrics of one class against the rest, all or those in `names`, (B,) each, for weights (B, N)."""
    true, called, scores = labels == label, probabilities.argmax(axis=1) == label, probabilities[:, label]
    metrics: dict[str, Callable[[Weights], Values]] = {
        **class_means(labels, probabilities, label),
        "f1": lambda weights: divide(2 * weights @ (true & called), weights @ true + weights @ called),
        "roc_auc": lambda weights: roc_auc(true, scores, weights),
        "average_precision": lambda weights: average_precision(true, scores, weights),
    }
    return {name: metric(weights) for name, metric in metrics.items() if names is None or name in names}


def class_means(labels: Labels, probabilities: Probabilities, label: int) -> dict[str, Mean]:
    """Define sensitivity, specificity and the predictive values of one class against the rest."""
    true, called = labels == label, probabilities.argmax(axis=1) == label
    return {
        "sensitivity": Mean(called, true),
        "specificity": Mean(~called, ~true),
        "ppv": Mean(true, called),
        "npv": Mean(~true, ~called),
    }


def compute_means(means: Mapping[str, Mean], weights: Weights) -> dict[str, Values]:
    """Compute means for weights (B, N), (B,) each."""
    return {name: mean(weights) for name, mean in means.items()}


def wilson_intervals(means: Mapping[str, Mean]) -> dict[str, WilsonInterval]:
    """Count those of the means that are proportions."""
    return {name: mean.wilson() for name, mean in means.items() if mean.is_proportion}


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns), (K, K)."""
    num_classes = probabilities.shape[1]
    counts = sklearn.metrics.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(num_classes))
    return np.asarray(counts, np.int64)


def expected_calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean distance between confidence and accuracy over bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, with 15 bins.
    """
    return float(_weighted_calibration_error(labels, probabilities, np.ones((1, len(labels))))[0])


def calibration_bins(labels: Labels, probabilities: Probabilities) -> tuple[CalibrationBin, ...]:
    """Collect the bins of `expected_calibration_error` that hold images, from low to high confidence."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = _bin_of(confidence)
    return tuple(
        CalibrationBin(
            low=index / NUM_CALIBRATION_BINS,
            high=(index + 1) / NUM_CALIBRATION_BINS,
            count=int((bins == index).sum()),
            confidence=float(confidence[bins == index].mean()),
            accuracy=float(correct[bins == index].mean()),
        )
        for index in np.unique(bins).tolist()
    )


def find_healthy_class(classes: Sequence[str]) -> int | None:
    """Find the class of scans without a tumour by its name; None where there is none, or more than one."""
    found = [index for index, name in enumerate(classes) if re.sub("[^a-z]", "", name.lower()) in _HEALTHY_NAMES]
    return found[0] if len(found) == 1 else None


def _surprise(labels: Labels, probabilities: Probabilities) -> Probabilities:
    surprise: Probabilities = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1))
    return surprise


def _weighted_calibration_error(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    in_bin = _bin_of(confidence)[:, None] == np.arange(NUM_CALIBRATION_BINS)
    gaps = weights @ (in_bin * (confidence - correct)[:, None])
    return divide(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def _bin_of(confidence: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.clip(np.ceil(confidence * NUM_CALIBRATION_BINS).astype(np.int64) - 1, 0, NUM_CALIBRATION_BINS - 1)


def _average(values: Sequence[Values]) -> Values:
    """Average over the classes for which a number is defined."""
    stacked = np.stack(values)
    defined = np.isfinite(stacked)
    return divide(np.where(defined, stacked, 0).sum(axis=0), defined.sum(axis=0).astype(np.float64))
