"""Pictures of what was measured on a split: confusion matrix, ROC curves, reliability diagram, figures by class."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.images.decoded import FloatArray
from training.metrics.classified import SplitOutputs
from training.metrics.metrics import calibration_bins, class_metrics, confusion_matrix
from training.metrics.ranking import roc_curve
from training.pages.columns import CLASS_METRICS, TITLES
from training.pages.pictures import shorten_label

_INCHES, _DPI = 4.5, 100
_DARK = 0.5  # shares above it get white letters
_BLUE, _RED, _GREY = "#9cc3e6", "#c2410c", "#5b6675"


def write_figures(split: SplitOutputs, classes: Sequence[str], folder: Path) -> None:
    """Write `folder/SPLIT/NAME.png` for each of the four."""
    (folder / split.name).mkdir(parents=True, exist_ok=True)
    for name, figure in draw_figures(split, classes).items():
        figure.savefig(folder / split.name / f"{name}.png", dpi=_DPI, metadata={"Software": None})


def draw_figures(split: SplitOutputs, classes: Sequence[str]) -> dict[str, Figure]:
    """Draw the four, by their names."""
    figures = {}
    for name, draw in _DRAWINGS.items():
        figures[name] = Figure(figsize=(_INCHES, _INCHES), layout="tight")
        axes = figures[name].subplots()
        draw(axes, split, [shorten_label(each) for each in classes])
        axes.set_title(f"{TITLES[split.name]}: {name.replace('_', ' ')}", fontsize=10)
    return figures


def _draw_confusion(axes: Axes, split: SplitOutputs, classes: Sequence[str]) -> None:
    counts = confusion_matrix(split.labels, split.probabilities)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    _draw_cells(axes, shares, [[str(count) for count in row] for row in counts.tolist()], classes, classes)
    axes.set(xlabel="predicted", ylabel="true")


def _draw_roc(axes: Axes, split: SplitOutputs, classes: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    for label, name in enumerate(classes):
        true = split.labels == label
        if true.any() and not true.all():
            area = _measure_class(split, label)["roc_auc"]
            axes.plot(*zip(*roc_curve(true, split.probabilities[:, label]), strict=True), label=f"{name} {area:.3f}")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", frameon=False)


def _draw_reliability(axes: Axes, split: SplitOutputs, _classes: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    bins = calibration_bins(split.labels, split.probabilities)
    lows, widths = [found.low for found in bins], [found.high - found.low for found in bins]
    axes.bar(lows, [found.accuracy for found in bins], widths, align="edge", color=_BLUE, edgecolor="white")
    axes.hlines(
        [found.confidence for found in bins], lows, [found.high for found in bins], _RED, label="mean confidence"
    )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left", frameon=False)


def _draw_classes(axes: Axes, split: SplitOutputs, classes: Sequence[str]) -> None:
    by_class = [_measure_class(split, label) for label in range(len(classes))]
    values = np.array([[found[metric] for metric in CLASS_METRICS] for found in by_class])
    texts = [["" if np.isnan(value) else f"{value:.3f}" for value in row] for row in values]
    _draw_cells(axes, np.nan_to_num(values), texts, classes, list(CLASS_METRICS.values()))


def _draw_cells(
    axes: Axes, shares: FloatArray, texts: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str]
) -> None:
    """Draw a table whose cells are the darker the larger their share, (R, C) in [0, 1]."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > _DARK else "black"
        axes.text(column, row, texts[row][column], ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)


def _measure_class(split: SplitOutputs, label: int) -> dict[str, float]:
    """Compute the metrics of a class against the rest; NaN where one is not defined."""
    found = class_metrics(split.labels, split.probabilities, label, np.ones((1, len(split.labels))))
    return {name: float(value[0]) for name, value in found.items()}


_DRAWINGS: dict[str, Callable[[Axes, SplitOutputs, Sequence[str]], None]] = {
    "confusion_matrix": _draw_confusion,
    "roc": _draw_roc,
    "reliability": _draw_reliability,
    "by_class": _draw_classes,
}
