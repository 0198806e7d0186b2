"""Scores under shifts: a table for a terminal, and curves for a page."""

from collections.abc import Callable
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.card import Interval
from training.pages.columns import TITLES
from training.pages.pictures import render_svg
from training.pages.tables import align, format_interval
from training.robustness.shift import ShiftMeasurement, ShiftScore

_HEADER = (
    *("shift", "severity", "accuracy", "agree", "ece", "missed tumours"),
    *("flagged", "review", "required", "outliers"),
)
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
    title = (
        f"{TITLES[measurement.split]} under simulated shift, parts in %, 95 % interval over groups: "
        f"{measurement.images} images of {measurement.groups} groups"
    )
    ordered = sorted(measurement.scores, key=lambda score: score.shortcut)
    return title + "\n" + align([_HEADER, *(_format_score(score) for score in (measurement.reference, *ordered))])


def draw_shift(measurement: ShiftMeasurement) -> str:
    """Draw a panel a shift, with curves over its severity, the unchanged scans at 0, as an SVG element."""
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


def _format_score(score: ShiftScore) -> tuple[str, ...]:
    review = score.review
    return (
        score.shift,
        f"{score.severity:g} {score.unit}" if score.unit else "-",
        format_interval(score.accuracy, 1, 100),
        _format_share(score.agreement.value),
        _format_share(score.ece),
        format_interval(score.missed_tumor_rate, 1, 100),
        f"{_format_share(_value(score.missed_and_flagged))} of {score.missed_tumors}",
        _format_share(None if review is None else 1 - review["none"]),
        _format_share(None if review is None else review["required"]),
        _format_share(score.outliers),
    )


def _format_share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value
