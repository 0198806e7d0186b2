"""Temperature, prediction sets and outlier detector, fitted after training on scans that share no group with any other.

Each is fitted from as few scans as it bears; what there were too few for is left out, and in the card's shortfalls.

A calibration part, never trained on and never reported on, decides the temperature and the threshold of the
prediction sets. The outlier detector learns from the training part; its thresholds, which lie where scans are rare,
are decided by the calibration and the validation part together.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.cluster import KMeans

from model.card import (
    CalibrationPart,
    ConformalSets,
    ModelCard,
    OutlierDetector,
    PackedArray,
    Region,
    ReviewThresholds,
    Shortfall,
)
from model.images.decoded import FloatArray
from model.reliability.appearance import NUM_THUMBNAIL_VALUES
from model.reliability.outliers import OutlierScorer, RegionDistance, normalize_length
from model.reliability.probabilities import DoubleArray, softmax
from training.metrics.classified import SplitOutputs
from training.metrics.intervals import Values, Weights, bootstrap
from training.metrics.metrics import Labels, Probabilities, find_healthy_class
from training.metrics.ranking import Mask

LEVEL = 0.95  # of the prediction sets
PERCENTILE = 99.0  # of familiar scans' scores, beyond which outliers begin
MIN_TEMPERATURE_SCANS = 30
MIN_SET_SCANS = 19  # smallest_sample(LEVEL)
MIN_UNSEEN_SCANS = 10  # one in 11 scans that are none would be called outliers
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
NUM_COMPONENTS = 24  # 16 to 48 measured alike; the card's size grows with it
NUM_CENTRES = 128  # 64 to 256 measured alike
MIN_SCANS_PER_CENTRE = 4
_THUMBNAIL_WEIGHT = 0.5  # 49 neighbouring values say much the same: they must not outvote the other 21
_MIN_DEVIATION = 1e-3
_SMALLEST_LIMIT = 1e-12  # where all scans are the same
_BATCH_SIZE = 32


def fit_probabilities(
    card: ModelCard, calibration: SplitOutputs, coarse: tuple[Mask, FloatArray] | None = None
) -> ModelCard:
    """Write temperature, prediction sets and the default thresholds for review into a copy of the card.

    Args:
        coarse: Possible classes (M, K) and logits (M, K) of scans of which less is known, for the temperature.
    """
    num_scans = len(calibration.labels)
    temperature, conformal = 1.0, None
    if num_scans >= MIN_TEMPERATURE_SCANS:
        possible = np.eye(calibration.logits.shape[1], dtype=bool)[calibration.labels]
        marks, logits = coarse or (possible[:0], calibration.logits[:0])
        temperature = fit_temperature(np.concatenate([possible, marks]), np.concatenate([calibration.logits, logits]))
    if num_scans >= MIN_SET_SCANS:
        conformal = fit_conformal(calibration.labels, softmax(calibration.logits, temperature), LEVEL)
    healthy = find_healthy_class(card.classes)
    review = ReviewThresholds(healthy_class=None if healthy is None else card.classes[healthy])
    card = card.model_copy(update={"temperature": temperature, "conformal": conformal, "review": review})
    return _note(card, num_scans, {"temperature": MIN_TEMPERATURE_SCANS, "conformal": MIN_SET_SCANS})


def fit_detector(card: ModelCard, train: SplitOutputs, unseen: Sequence[SplitOutputs]) -> ModelCard:
    """Write the outlier detector into a copy of the card.

    The largest score of n unseen scans is exceeded by one in n + 1 others like them. From the 99th scan on that is the
    promised one in a hundred; with fewer the threshold is the largest score all the same, and that is noted.
    """
    num_scans = sum(len(part.labels) for part in unseen)
    detector = fit_outlier_detector(train, unseen) if num_scans >= MIN_UNSEEN_SCANS else None
    needed: dict[CalibrationPart, int] = {
        "outlier_detector": MIN_UNSEEN_SCANS,
        "outlier_percentile": smallest_sample(PERCENTILE / 100),
    }
    return _note(card.model_copy(update={"outlier_detector": detector}), num_scans, needed)


def smallest_sample(level: float) -> int:
    """Find the least number n of scans of which one has a rank of ceil((n + 1) * level)."""
    return next(n for n in itertools.count(1) if math.ceil((n + 1) * level) <= n)


def _note(card: ModelCard, num_scans: int, needed: Mapping[CalibrationPart, int]) -> ModelCard:
    """Note in a copy of the card the parts that need more scans than there are."""
    short = {part: Shortfall(found=num_scans, needed=least) for part, least in needed.items() if num_scans < least}
    others = {part: shortfall for part, shortfall in card.shortfalls.items() if part not in needed}
    return card.model_copy(update={"shortfalls": {**others, **short}})


def fit_temperature(possible: Mask, logits: FloatArray) -> float:
    """Find the temperature with the lowest negative log-likelihood of the possible classes; both (N, K).

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2. The loss is convex in 1 / T and has
    one minimum in log T, unless every scan is classified rightly: then nothing bounds the confidence from above, and
    the labels count as uncertain by 1 / (n + 2) (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    is_right = possible[np.arange(len(logits)), logits.argmax(axis=1)]
    doubt = 1 / (len(logits) + 2) if is_right.all() else 0.0

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, math.exp(log_temperature))
        inside = (probabilities * possible).sum(axis=1)
        surprise, contrary = -np.log(inside.clip(1e-12)), -np.log((1 - inside).clip(1e-12))
        return float(((1 - doubt) * surprise + doubt * contrary).mean())

    bounds = (math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def fit_conformal(labels: Labels, probabilities: Probabilities, level: float = LEVEL) -> ConformalSets:
    """Find the threshold with which prediction sets hold the true class `level` of the time.

    Split conformal prediction with the score 1 - p(true class) (Sadinle, Lei and Wasserman, "Least Ambiguous
    Set-Valued Classifiers With Bounded Error Levels", JASA 2019): the ceil((n + 1) * level)-th smallest of n
    scores. On exchangeable scans coverage is at least `level`; too few scans for it give the threshold 1, sets of all
    classes.
    """
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels])
    rank = math.ceil((len(scores) + 1) * level)
    return ConformalSets(level=level, threshold=float(scores[rank - 1]) if rank <= len(scores) else 1.0)


def fit_outlier_detector(
    train: SplitOutputs, unseen: Sequence[SplitOutputs], percentile: float = PERCENTILE
) -> OutlierDetector:
    """Learn where the training scans lie; the threshold is a percentile of scans that were not trained on.

    The distances of features and of appearance are scaled by their own percentiles. The threshold of the larger of the
    two is a tolerance limit, since the few scans near a percentile come from even fewer patients (Wilks, "Determination
    of Sample Sizes for Setting Tolerance Limits", Ann. Math. Stat. 1941).
    """
    weights = np.ones(train.appearances.shape[1])
    weights[-NUM_THUMBNAIL_VALUES:] = _THUMBNAIL_WEIGHT
    deviations = train.appearances.std(axis=0, dtype=np.float64) + _MIN_DEVIATION
    features = np.concatenate([part.features for part in unseen])
    appearances = np.concatenate([part.appearances for part in unseen])
    unit = normalize_length(train.features)
    detector = OutlierDetector(
        features=fit_region(unit, normalize_length(features), np.ones(unit.shape[1]), percentile),
        appearance=fit_region(train.appearances, appearances, weights / deviations, percentile),
        threshold=1.0,
        percentile=percentile,
    )
    scores = OutlierScorer(detector).score(features, appearances)
    groups = [group for part in unseen for group in part.groups]
    threshold = max(tolerance_limit(scores, groups, percentile), _SMALLEST_LIMIT)
    return detector.model_copy(update={"threshold": threshold})


def tolerance_limit(scores: DoubleArray, groups: Sequence[str], percentile: float) -> float:
    """Find the upper end of the 95 % interval of a percentile of scores (N,), from a bootstrap over groups (N,)."""

    def percentiles(weights: Weights) -> dict[str, Values]:
        found = [np.quantile(scores, percentile / 100, weights=row, method="inverted_cdf") for row in weights]
        return {"percentile": np.array(found)}

    return bootstrap(percentiles, groups)["percentile"].high


def fit_region(
    vectors: npt.NDArray[np.floating], unseen: npt.NDArray[np.floating], scale: DoubleArray, percentile: float
) -> Region:
    """Find the principal subspace of vectors and centres in it; see `model.reliability.reliability.RegionDistance`.

    Args:
        vectors: (N, D), of the training scans.
        unseen: (C, D); the percentile of their distances becomes the limit.
        scale: (D,), the weight of each value.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = (vectors - mean) * scale
    _, directions = np.linalg.eigh(centred.T @ centred)  # in the order of growing variance
    components = directions[:, : -NUM_COMPONENTS - 1 : -1]
    num_centres = min(NUM_CENTRES, max(1, len(vectors) // MIN_SCANS_PER_CENTRE))
    centres = KMeans(num_centres, n_init=1, random_state=0).fit(centred @ components).cluster_centers_
    arrays = {"mean": mean, "scale": scale, "components": components, "centres": centres}
    region = Region(**{name: PackedArray.encode(array) for name, array in arrays.items()}, limit=1.0)
    limit = float(np.percentile(RegionDistance(region).measure(unseen), percentile))
    return region.model_copy(update={"limit": max(limit, _SMALLEST_LIMIT)})
