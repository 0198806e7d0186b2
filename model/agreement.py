"""How much two ways to run the same weights agree on given images; what reduced precision is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.classifier import Classifier, ImageInference


@dataclass(frozen=True)
class Agreement:
    """What was found on `num_images` images.

    Attributes:
        same_class: Part of the images, in [0, 1], that both give the same class.
        same_review: Part of the images for which both give the same review level and reasons.
        max_probability_difference: Over all images and classes.
        median_probability_difference: Of each image's largest.
        max_heatmap_difference: Over all images and cells.
    """

    num_images: int
    same_class: float
    same_review: float
    max_probability_difference: float
    median_probability_difference: float
    max_heatmap_difference: float


def measure_agreement(reference: Classifier, candidate: Classifier, files: Sequence[Path]) -> Agreement:
    """Let both judge every file.

    Raises:
        InputError: If a file cannot be judged.
        OSError: If a file cannot be read.
        ValueError: If there is no file.
    """
    if not files:
        raise ValueError("expected at least one file")
    rows = []
    for file in files:
        data = file.read_bytes()
        expected, found = (classifier.infer_image(data, explain=True) for classifier in (reference, candidate))
        rows.append(_compare(expected, found))
    same_class, same_review, probabilities, heatmaps = np.array(rows, np.float64).T
    return Agreement(
        num_images=len(files),
        same_class=float(same_class.mean()),
        same_review=float(same_review.mean()),
        max_probability_difference=float(probabilities.max()),
        median_probability_difference=float(np.median(probabilities)),
        max_heatmap_difference=float(heatmaps.max()),
    )


def _compare(expected: ImageInference, found: ImageInference) -> tuple[bool, bool, float, float]:
    first, second = expected.prediction, found.prediction
    maps = [said.heatmaps for said in (expected, found) if said.heatmaps is not None]
    return (
        first.prediction == second.prediction,
        first.review == second.review,
        float(np.abs(expected.probabilities - found.probabilities).max()),
        float(np.abs(np.subtract(*maps)).max()),
    )
