"""The kind of picture, fitted after training: a logistic regression on the features, and its thresholds.

The regression learns from the training part alone. Its thresholds are quantiles of unseen scans: few scans of a head
may be taken for no MR of one, few tumours of the data folder for another sequence, and few lesions of other sequences
that are called healthy may pass without a review, as long as few healthy scans of the data folder are sent to one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from model.card import KindHead, PackedArray
from model.images.decoded import FloatArray
from model.kinds import KINDS
from model.reliability.input_kind import KindClassifier
from model.reliability.probabilities import DoubleArray, softmax
from training.calibration.calibration import LEVEL, fit_conformal, smallest_sample
from training.metrics.metrics import Probabilities
from training.metrics.ranking import Mask

MAX_FOREIGN = 0.015  # of the scans of a head that are taken for something else
MAX_UNFAMILIAR = 0.01  # of contrast T1 tumours that are taken for another sequence
MAX_SILENT = 0.01  # of the lesions on other sequences that are called healthy without a review
MAX_HEALTHY_REVIEWED = 0.08  # of the healthy scans of the data folder that are sent to one for it
_PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4)  # of squared weights; the one with the lowest validation loss is taken


@dataclass(frozen=True)
class KindSamples:
    """Scans whose kind is known, or known to be one of several.

    Attributes:
        features: (N, D), the input of the classifier.
        possible: (N, 3), the kinds of `model.kinds.KINDS` that a scan may be of.
        probabilities: (N, K), calibrated.
        tumors: (N,), whether the scan is known to show a lesion.
        healthy: (N,), whether it is known to show none.
        at_home: (N,), whether it is of the data folder that is trained on.
    """

    features: FloatArray
    possible: Mask
    probabilities: Probabilities
    tumors: Mask
    healthy: Mask
    at_home: Mask


def fit_kinds(train: KindSamples, unseen: KindSamples, healthy: int | None) -> KindHead:
    """Fit the regression on `train`, with the penalty that suits `unseen` best, and the thresholds on `unseen`."""
    heads = [fit_regression(train.features, train.possible, penalty) for penalty in _PENALTIES]
    head = min(heads, key=lambda each: _loss(KindClassifier(each).classify(unseen.features), unseen.possible))
    return choose_thresholds(head, KindClassifier(head).classify(unseen.features), unseen, healthy)


def choose_thresholds(head: KindHead, kinds: DoubleArray, unseen: KindSamples, healthy: int | None) -> KindHead:
    """Set the thresholds by the kinds (N, 3) of unseen scans; see the limits of this module.

    Args:
        healthy: The label of the class without a tumour.
    """
    contrast_t1, other_mr, not_head_mr = range(len(KINDS))
    heads = ~unseen.possible[:, not_head_mr]
    foreign = _highest(kinds[heads, not_head_mr], MAX_FOREIGN)
    tumors = unseen.tumors & unseen.at_home & unseen.possible[:, contrast_t1] & ~unseen.possible[:, other_mr]
    unfamiliar = _highest(kinds[tumors, other_mr], MAX_UNFAMILIAR)
    missed, set_threshold = 1.0, None
    if healthy is not None:
        doubts, is_other = 1 - unseen.probabilities[:, healthy], kinds[:, other_mr] > unfamiliar
        judging = is_other & ~unseen.at_home & (unseen.tumors | unseen.healthy)
        if (judging & unseen.tumors).any():
            missed = float(np.quantile(doubts[judging & unseen.tumors], MAX_SILENT, method="lower"))
            passing = np.where(is_other, doubts, 0)[unseen.healthy & unseen.at_home]
            missed = max(missed, _highest(passing, MAX_HEALTHY_REVIEWED) if len(passing) else 0.0)
        if judging.sum() >= smallest_sample(LEVEL):
            binary = np.stack([1 - doubts, doubts], axis=1)[judging]
            set_threshold = fit_conformal(unseen.tumors[judging].astype(np.int64), binary).threshold
    thresholds = {"not_head_mr": foreign, "other_mr": unfamiliar, "tumor_probability": float(np.nextafter(missed, 0))}
    return head.model_copy(update={**thresholds, "set_threshold": set_threshold})


def _highest(values: DoubleArray, part: float) -> float:
    """Find a value that at most `part` of them exceed, between 0 and 1: the middle between two of them."""
    if not len(values):
        return 0.5
    ordered = np.sort(values)[::-1]
    num_above = int(part * len(values))
    return float(np.clip(ordered[max(num_above - 1, 0) : num_above + 1].mean(), 1e-6, 1.0))


def fit_regression(features: FloatArray, possible: Mask, penalty: float) -> KindHead:
    """Minimise the mean partial-label loss (see `training.learning.objective`) plus a penalty on squared weights.

    Features are standardised first, so that one penalty suits all of them.
    """
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64) + 1e-6
    inputs = np.hstack([(features - mean) / deviation, np.ones((len(features), 1))])
    known = possible.any(axis=1)
    inputs, marks = inputs[known], possible[known]
    free = np.ones((inputs.shape[1], 1))
    free[-1] = 0  # the bias is not penalised

    def objective(flat: DoubleArray) -> tuple[float, DoubleArray]:
        weights = flat.reshape(inputs.shape[1], len(KINDS))
        probabilities = softmax(inputs @ weights)
        inside = (probabilities * marks).sum(axis=1, keepdims=True).clip(1e-300)
        slopes = probabilities - probabilities * marks / inside
        gradient = inputs.T @ slopes / len(inputs) + 2 * penalty * free * weights
        loss = -np.log(inside).mean() + penalty * (free * weights**2).sum()
        return float(loss), gradient.ravel()

    found = minimize(objective, np.zeros(inputs.shape[1] * len(KINDS)), jac=True, method="L-BFGS-B")
    weights = found.x.reshape(inputs.shape[1], len(KINDS))
    scaled = weights[:-1] / deviation[:, None]
    bias = weights[-1] - mean @ scaled
    return KindHead(
        weights=PackedArray.encode(scaled.T),
        bias=tuple((bias - bias.mean()).tolist()),
        **{"not_head_mr": 0.5, "other_mr": 0.5, "tumor_probability": 0.0},
    )


def _loss(kinds: DoubleArray, possible: Mask) -> float:
    known = possible.any(axis=1)
    return float(-np.log((kinds * possible).sum(axis=1)[known].clip(1e-12)).mean())
