"""The summary of a volume's slices."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.prediction import ModelIdentity, Prediction


@dataclass(frozen=True)
class VolumeSummary:
    """The slices of a volume that show a head, summed up.

    A mean over slices is no probability that the patient has the disease: a tumour in few slices is outvoted, so look
    at `slices_by_class`.

    Attributes:
        prediction: The class of the largest mean; None if no slice shows a head, as the next two.
        confidence: That mean.
        probabilities: The mean over the slices, of every class.
        num_slices: How many were read.
        num_judged: How many of them show a head and were classified.
        slices_by_class: How many slices each class was predicted for.
    """

    prediction: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    num_slices: int
    num_judged: int
    slices_by_class: dict[str, int]
    model: ModelIdentity


def summarise_volume(
    classified: Sequence[Prediction], num_slices: int, classes: Sequence[str], identity: ModelIdentity
) -> VolumeSummary:
    """Sum up the predictions for the slices that show a head."""
    counts = Counter(prediction.prediction for prediction in classified)
    slices_by_class = {name: counts[name] for name in classes}
    if not classified:
        return VolumeSummary(None, None, None, num_slices, 0, slices_by_class, identity)
    means = np.mean([[prediction.probabilities[name] for name in classes] for prediction in classified], axis=0)
    best = int(means.argmax())
    probabilities = dict(zip(classes, means.tolist(), strict=True))
    return VolumeSummary(
        classes[best], float(means[best]), probabilities, num_slices, len(classified), slices_by_class, identity
    )
