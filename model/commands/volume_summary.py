"""The summary of a volume's slices."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.prediction import ModelIdentity, Prediction


@dataclass(frozen=True)
class VolumeSummary:
    """Predictions for the slices of a volume that show a head.

    A mean over slices is no probability that the patient has the disease: a tumour in few slices is outvoted, so look
    at `slices_by_class`.

    Attributes:
        prediction: The class of the largest mean; None if no slice shows a head, as the next two.
        confidence: That mean.
        probabilities: Means over the slices by class.
        num_slices: Slices that were read.
        num_judged: Slices that show a head and were classified.
        slices_by_class: Number of slices that each class was predicted for.
    """

    prediction: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    num_slices: int
    num_judged: int
    slices_by_class: dict[str, int]
    model: ModelIdentity


def summarise_volume(
    judged: Sequence[Prediction], num_slices: int, classes: Sequence[str], identity: ModelIdentity
) -> VolumeSummary:
    """Summarise the predictions for the slices that show a head."""
    counts = Counter(prediction.prediction for prediction in judged)
    slices_by_class = {name: counts[name] for name in classes}
    if not judged:
        return VolumeSummary(None, None, None, num_slices, 0, slices_by_class, identity)
    means = np.mean([[prediction.probabilities[name] for name in classes] for prediction in judged], axis=0)
    best = int(means.argmax())
    probabilities = dict(zip(classes, means.tolist(), strict=True))
    return VolumeSummary(
        classes[best], float(means[best]), probabilities, num_slices, len(judged), slices_by_class, identity
    )
