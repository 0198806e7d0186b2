"""Numbers that say how good predictions are, each with a 95 % interval."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from model.card import Interval, SplitMetrics

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
Metric = Callable[[Labels, Probabilities], float]

HEALTHY_CLASSES = ("notumor", "no_tumor")  # what the field's data sets call a scan without a tumour
NUM_RESAMPLES = 1000
NUM_CALIBRATION_BINS = 15


def measure(
    labels: Labels,
    probabilities: Probabilities,
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> SplitMetrics:
    """Measure predictions, with percentile intervals from a bootstrap over groups.

    Images of one group (one patient, copies of one slice) are not independent: whole groups are drawn with
    replacement (Field and Welsh, "Bootstrapping clustered data", 2007). Without groups each image is its
    own, and the intervals are too narrow where images belong together.

    Args:
        labels: (N,), indices of classes.
        probabilities: (N, K), rows sum to 1.
        groups: For each image, who it belongs with.
    """
    metrics = _metrics_for(classes)
    units = _members([str(index) for index in range(len(labels))] if groups is None else groups)
    generator = np.random.default_rng(seed)
    resampled: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(NUM_RESAMPLES):
        drawn = np.concatenate([units[unit] for unit in generator.integers(0, len(units), len(units))])
        for name, metric in metrics.items():
            resampled[name].append(metric(labels[drawn], probabilities[drawn]))
    intervals = {name: _interval(metric(labels, probabilities), resampled[name]) for name, metric in metrics.items()}
    return SplitMetrics(images=len(labels), groups=None if groups is None else len(units), **intervals)


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns), (K, K)."""
    num_classes = probabilities.shape[1]
    pairs = labels * num_classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the part of images whose most probable class is the true one."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def balanced_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean sensitivity of the classes present."""
    counts = confusion_matrix(labels, probabilities)
    present = counts.sum(axis=1) > 0
    return float((counts.diagonal()[present] / counts.sum(axis=1)[present]).mean())


def macro_f1(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean F1, 2 TP / (2 TP + FP + FN), of the classes present or predicted."""
    counts = confusion_matrix(labels, probabilities)
    involved = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * counts.diagonal()[involved > 0] / involved[involved > 0]).mean())


def macro_roc_auc(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean one-against-rest area under the ROC curve of the classes present."""
    areas = [
        roc_auc_score(labels == label, probabilities[:, label])
        for label in range(probabilities.shape[1])
        if 0 < (labels == label).sum() < len(labels)
    ]
    return float(np.mean(areas)) if areas else 0.5


def negative_log_likelihood(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean of -log p(true class), in nats."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean())


def expected_calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Compute the mean distance between confidence and accuracy over bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, with 15 bins.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * NUM_CALIBRATION_BINS).astype(int), NUM_CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=NUM_CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def _metrics_for(classes: Sequence[str]) -> Mapping[str, Metric]:
    metrics: dict[str, Metric] = {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "macro_roc_auc": macro_roc_auc,
        "nll": negative_log_likelihood,
        "ece": expected_calibration_error,
    }
    healthy = [index for index, name in enumerate(classes) if name in HEALTHY_CLASSES]
    if len(healthy) == 1:

        def missed_tumor_rate(labels: Labels, probabilities: Probabilities) -> float:
            tumors = labels != healthy[0]
            return float((probabilities[tumors].argmax(axis=1) == healthy[0]).mean()) if tumors.any() else 0.0

        metrics["missed_tumor_rate"] = missed_tumor_rate
    return metrics


def _members(groups: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    _, unit_of = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(unit_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(unit_of[order])) + 1)


def _interval(value: float, resampled: Sequence[float]) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))
