"""A comparison as text, as a table for a document, and as one HTML page that needs nothing else."""

import json
from pathlib import Path

from jinja2 import Environment

from training.comparison.comparison import Comparison
from training.errors import DataError
from training.evaluation.plots import SIDE, Line, draw_roc_line
from training.metrics.metrics import find_healthy_class
from training.metrics.ranking import Mask, Scores
from training.pages import columns
from training.pages.tables import format_interval
from training.pages.templates import create_environment, write_files

RESULT, REPORT = "comparison.json", "comparison.html"
_BEGIN, _END = "<!-- compare: begin -->", "<!-- compare: end -->"
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_auc", "missed_tumor_rate", "ece")


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write `comparison.json` and `comparison.html`, whose path is returned, or raise `DataError`."""
    text = json.dumps(comparison.describe(), indent=2, ensure_ascii=False) + "\n"
    write_files(out, {RESULT: text, REPORT: render_comparison(comparison)})
    return out / REPORT


def render_comparison(comparison: Comparison) -> str:
    """Make the page."""
    return (
        _environment()
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            names=columns,
            metrics=METRICS,
            side=SIDE,
            tumor_lines={name: draw_tumor_curves(comparison, name) for name in comparison.split_names},
            class_lines={name: draw_class_curves(comparison, name) for name in comparison.split_names},
        )
    )


def format_table(comparison: Comparison) -> str:
    """Write the table of the systems as Markdown."""
    return (
        _environment(autoescape=False).get_template("reference_systems.md").render(comparison=comparison, names=columns)
    )


def update_document(path: Path, table: str) -> None:
    """Put the table between the two marks in a document.

    Raises:
        DataError: If it cannot be read or written, or has no marks.
    """
    before, after = split_document(path)
    write_files(path.parent, {path.name: f"{before}\n{table.strip()}\n{after}"})


def split_document(path: Path) -> tuple[str, str]:
    """Read a document up to its first mark, and from its second.

    Raises:
        DataError: If it cannot be read, or has no marks.
    """
    try:
        before, found, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot write {path}: {getattr(error, 'strerror', 'expected UTF-8')}") from error
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise DataError(f"{path}: expected the marks {_BEGIN} and {_END}, between which the table goes")
    return before + _BEGIN, _END + after


def draw_tumor_curves(comparison: Comparison, split: str) -> dict[str, Line]:
    """Draw one ROC curve a system, by its name: any tumour against none, whatever its classes."""
    lines: dict[str, Line] = {}
    for system in comparison.systems:
        found, healthy = system.split(split), find_healthy_class(system.card.classes)
        if found is not None and healthy is not None:
            positive, scores = found.classified.labels != healthy, 1 - found.classified.probabilities[:, healthy]
            lines |= _draw(system.name, positive, scores)
    return lines


def draw_class_curves(comparison: Comparison, split: str) -> dict[str, dict[str, Line]]:
    """Draw for each class one ROC curve a system that knows it; two classes have the curve of any tumour alone."""
    curves: dict[str, dict[str, Line]] = {}
    for system in comparison.systems:
        found = system.split(split)
        if found is None or len(system.card.classes) == 2:
            continue
        for label, name in enumerate(system.card.classes):
            drawn = _draw(system.name, found.classified.labels == label, found.classified.probabilities[:, label])
            curves.setdefault(name, {}).update(drawn)
    return curves


def _draw(name: str, positive: Mask, scores: Scores) -> dict[str, Line]:
    return {name: draw_roc_line(name, positive, scores)} if positive.any() and not positive.all() else {}


def _environment(*, autoescape: bool = True) -> Environment:
    environment = create_environment("training.comparison", autoescape=autoescape, keep_trailing_newline=True)
    environment.filters |= {"interval": format_interval}
    return environment
