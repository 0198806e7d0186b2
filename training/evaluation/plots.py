"""Plots as the corners that the report's templates draw: no picture library, sharp at any size."""

from dataclasses import dataclass

import numpy as np

from training.evaluation.evaluation import SplitEvaluation
from training.metrics.metrics import CalibrationBin
from training.metrics.ranking import Mask, Scores, roc_auc, roc_curve

SIDE = 240  # of a plot's square, in the units of its viewBox; x goes right and y goes down


@dataclass(frozen=True)
class Line:
    """A labelled polyline in SVG's notation."""

    label: str
    points: str


@dataclass(frozen=True)
class Bar:
    """One bin of a reliability diagram: the accuracy reached, and a mark at the confidence claimed."""

    x: float
    width: float
    y: float
    height: float
    mark: float
    title: str


def roc_lines(split: SplitEvaluation) -> list[Line]:
    """Draw one ROC curve a class that both sides of are present."""
    lines = []
    for label, name in enumerate(split.classifier.card.classes):
        if "roc_auc" in split.per_class[label].intervals:
            judged = split.judged
            lines.append(draw_roc_line(name, judged.labels == label, judged.probabilities[:, label]))
    return lines


def draw_roc_line(name: str, positive: Mask, scores: Scores) -> Line:
    """Draw the ROC curve of scores (N,), of which both sides are present; its label is `name` and the area."""
    area = float(roc_auc(positive, scores, np.ones((1, len(scores))))[0])
    points = " ".join(f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in roc_curve(positive, scores))
    return Line(f"{name} {area:.3f}", points)


def reliability_bars(split: SplitEvaluation) -> list[Bar]:
    """Draw one bar a bin that holds images."""
    return [_draw_bar(found) for found in split.bins]


def _draw_bar(found: CalibrationBin) -> Bar:
    title = f"{found.count} images: confidence {found.confidence:.3f}, accuracy {found.accuracy:.3f}"
    return Bar(
        x=round(found.low * SIDE, 1),
        width=round((found.high - found.low) * SIDE, 1),
        y=round((1 - found.accuracy) * SIDE, 1),
        height=round(found.accuracy * SIDE, 1),
        mark=round((1 - found.confidence) * SIDE, 1),
        title=title,
    )
