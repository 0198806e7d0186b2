"""What shifts do to a model: as a table for a terminal, and as curves for a page."""

from collections.abc import Callable
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.card import Interval
from training.pages.columns import TITLES
from training.pages.figures import render_svg
from training.robustness.shift import ShiftMeasurement, ShiftScore

_COLUMNS = 4
_PANEL_INCHES = (2.9, 2.1)
_CURVES: dict[str, tuple[str, Callable[[ShiftScore], float | None]]] = {  # label: colour, value
    "accuracy": ("#1b6ca8", lambda score: score.accuracy.value),
    "tumours missed": ("#c0392b", lambda score: _value(score.missed_tumor_rate)),
    "of these sent to review": ("#e08e0b", lambda score: _value(score.missed_and_flagged)),
    "scans sent to review": ("#6c7a89", lambda score: None if score.review is None else 1 - score.review["none"]),
}


def format_shift(measurement: ShiftMeasurement) -> str:
    """Write a row a shift and severity; those that must not matter come last."""
    rows = [
        f"{TITLES[measurement.split]} under simulated shift, parts in %, 95 % interval over groups: "
        f"{measurement.images} images of {measurement.groups} groups",
        f"{'shift':<16} {'severity':<38} {'accuracy':>20} {'agree':>6} {'ece':>6} {'missed tumours':>20} "
        f"{'flagged':>13} {'review':>7} {'required':>8} {'outliers':>8}",
    ]
    ordered = sorted(measurement.scores, key=lambda score: score.shortcut)
    return "\n".join([*rows, *(_format_score(score) for score in (measurement.reference, *ordered))])


def draw_shift(measurement: ShiftMeasurement) -> str:
    """Draw a panel a shift, with curves over its severity, the scans as they are at 0.

    Returns:
        An SVG element that can stand in a page of HTML or as a file; it refers to nothing outside.
    """
    names = list(dict.fromkeys(score.shift for score in measurement.scores))
    num_rows = -(-len(names) // _COLUMNS)
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(_COLUMNS * width, num_rows * height + 0.5), layout="constrained")
    axes = figure.subplots(num_rows, _COLUMNS, squeeze=False, sharey=True).ravel().tolist()
    for axis, name in zip(axes, names, strict=False):
        shifted = [score for score in measurement.scores if score.shift == name]
        _draw_panel(axis, sorted([measurement.reference, *shifted], key=lambda score: score.severity), shifted[0])
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(_CURVES), frameon=False)
    return render_svg(figure)


def _draw_panel(axis: Axes, scores: list[ShiftScore], named: ShiftScore) -> None:
    for label, (color, value) in _CURVES.items():
        heights = [value(score) for score in scores]
        values = [nan if height is None else height for height in heights]  # a gap, not a line across what is unknown
        axis.plot([score.severity for score in scores], values, "o-", color=color, label=label, markersize=3)
    axis.set_title(named.shift.replace("_", " ") + (" (must not matter)" if named.shortcut else ""), fontsize=9)
    axis.set_xlabel(named.unit, fontsize=8)
    axis.set_ylim(-0.03, 1.03)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)


def _format_score(score: ShiftScore) -> str:
    severity = f"{score.severity:g} {score.unit}" if score.unit else "-"
    flagged = "-" if score.missed_and_flagged is None else f"{100 * score.missed_and_flagged.value:.1f}"
    flagged = f"{flagged} of {score.missed_tumors}"
    reviewed = "-" if score.review is None else f"{100 * (1 - score.review['none']):.1f}"
    required = "-" if score.review is None else f"{100 * score.review['required']:.1f}"
    outliers = "-" if score.outliers is None else f"{100 * score.outliers:.1f}"
    return (
        f"{score.shift:<16} {severity:<38} {_format_interval(score.accuracy):>20} "
        f"{100 * score.agreement.value:>6.1f} {100 * score.ece:>6.1f} {_format_interval(score.missed_tumor_rate):>20} "
        f"{flagged:>13} {reviewed:>7} {required:>8} {outliers:>8}"
    )


def _format_interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value
