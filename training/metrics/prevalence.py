"""Predictive values where tumours are rarer, or more frequent, than in the data."""

from collections.abc import Sequence

import numpy as np

from training.errors import DataError
from training.metrics.intervals import Values, Weights
from training.metrics.metrics import Labels, Mean, Probabilities, class_means, find_healthy_class
from training.metrics.ranking import divide

ANY_TUMOR = "any tumour"


def predictive_values(
    labels: Labels, probabilities: Probabilities, classes: Sequence[str], prevalence: float, weights: Weights
) -> dict[str, Values]:
    """Compute PPV and NPV per class, and of any tumour against none, by Bayes' theorem.

    Images are weighed so that tumours make up `prevalence` of all, with their kinds as frequent as in the data. For any
    tumour against none, with sensitivity s and specificity t, PPV = s P / (s P + (1 - t) (1 - P)) and
    NPV = t (1 - P) / (t (1 - P) + (1 - s) P).

    Args:
        prevalence: P, part of all scans that show a tumour, in [0, 1].
        weights: (B, N).

    Returns:
        (B,) by "NAME ppv" and "NAME npv"; NaN where a class is never predicted or one side has no scans.

    Raises:
        DataError: If no class is known to hold healthy scans.
    """
    healthy = find_healthy_class(classes)
    if healthy is None:
        raise DataError(f"a prevalence needs a class of healthy scans such as notumor; found {', '.join(classes)}")
    tumor, called = labels != healthy, probabilities.argmax(axis=1) != healthy
    weighed = np.zeros_like(weights)
    for members, share in ((tumor, prevalence), (~tumor, 1 - prevalence)):
        weighed += weights * members * divide(np.full(len(weights), share), weights @ members)[:, None]
    values = {f"{ANY_TUMOR} ppv": Mean(tumor, called)(weighed), f"{ANY_TUMOR} npv": Mean(~tumor, ~called)(weighed)}
    for label, name in enumerate(classes):
        means = class_means(labels, probabilities, label)
        values |= {f"{name} {kind}": means[kind](weighed) for kind in ("ppv", "npv")}
    return values
