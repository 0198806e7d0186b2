"""Plots as coordinates for the templates: no picture library, sharp at any size."""

from dataclasses import dataclass

import numpy as np

from training.evaluation.evaluation import SplitEvaluation
from training.metrics.ranking import Mask, Scores, roc_auc, roc_curve

SIDE = 240  # of a plot's square, in the units of its viewBox; x goes right and y goes down


@dataclass(frozen=True)
class Line:
    """A labelled polyline in SVG's notation."""

    label: str
    points: str


def roc_lines(split: SplitEvaluation) -> list[Line]:
    """Draw one ROC curve a class that both sides of are present."""
    lines = []
    for label, name in enumerate(split.classifier.card.classes):
        if "roc_auc" in split.per_class[label].intervals:
            classified = split.classified
            lines.append(draw_roc_line(name, classified.labels == label, classified.probabilities[:, label]))
    return lines


def draw_roc_line(name: str, positive: Mask, scores: Scores) -> Line:
    """Draw the ROC curve of scores (N,), of which both sides are present; its label is `name` and the area."""
    area = float(roc_auc(positive, scores, np.ones((1, len(scores))))[0])
    points = " ".join(f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in roc_curve(positive, scores))
    return Line(f"{name} {area:.3f}", points)
