"""How far a prediction can be trusted: prediction set, outlier score, and whether a person should look.

    features, DICOM header -> kind of picture --+------------------------+
    probabilities ------------------------------+-> prediction set ------+
    features, appearance --> distance ----------+-> outlier score -------+-> review
    probabilities -------------------------------------------------------+

Every number that decides comes from the card; a field that the card has no numbers for is None.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.dataclasses import dataclass

from model.card import ConformalSets, ModelCard, ReviewThresholds
from model.images.decoded import FloatArray
from model.kinds import KINDS, KindName
from model.reliability.input_kind import InputKind, KindClassifier
from model.reliability.outliers import OutlierScorer
from model.reliability.probabilities import DoubleArray

BoolArray = npt.NDArray[np.bool_]


class Level(StrEnum):
    """Whether a person should look at the image."""

    NONE = "none"
    CONSIDER = "consider"
    REQUIRED = "required"


class Reason(StrEnum):
    """Why a person should look."""

    LOW_CONFIDENCE = "low_confidence"
    AMBIGUOUS = "ambiguous"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    TUMOR_NOT_EXCLUDED = "tumor_not_excluded"
    UNFAMILIAR_SEQUENCE = "unfamiliar_sequence"


@dataclass(frozen=True, kw_only=True)
class OutlierScore:
    """How unlike the training data the image is."""

    score: float = Field(ge=0, description="Distance to the training data; comparable for the same weights only.")
    threshold: float = Field(
        description="Most scans like those of training score less: 99 of 100, where the calibration had 99."
    )
    outlier: bool = Field(description="The score exceeds the threshold: do not use the prediction.")


@dataclass(frozen=True, kw_only=True)
class Review:
    """Whether a person should look at the image before the prediction is used."""

    level: Level = Field(
        description="`required`: low confidence, several classes possible, out of distribution, or a type of tumour "
        "named on a sequence on which types were not learnt; `consider`: the confidence could be higher, or a tumour "
        "is not excluded."
    )
    reasons: tuple[Reason, ...] = Field(description="Every reason that applies; empty where the level is `none`.")


@dataclass(frozen=True)
class Reliability:
    """How far one prediction can be trusted; None where the card has no parameters for it.

    Attributes:
        kind: What kind of picture it is.
        prediction_set: The classes kept, in the card's order; never empty.
    """

    kind: InputKind | None
    prediction_set: tuple[str, ...] | None
    ood: OutlierScore | None
    review: Review | None


def keep_classes(probabilities: DoubleArray, conformal: ConformalSets) -> BoolArray:
    """Find the classes that each image's prediction set holds.

    A class stays where 1 - p(class) <= threshold: the least ambiguous set-valued classifier of Sadinle, Lei
    and Wasserman, JASA 2019. The most probable class always stays, so that no set is empty.

    Args:
        probabilities: (N, K), calibrated.

    Returns:
        (N, K).
    """
    kept: BoolArray = 1 - probabilities <= conformal.threshold
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    return kept


class ReliabilityCheck:
    """Assesses predictions by the parameters of a card."""

    def __init__(self, card: ModelCard) -> None:
        """Prepare the checks that the card has parameters for."""
        self._card = card
        self.scorer = OutlierScorer(card.outlier_detector) if card.outlier_detector else None
        self.kinds = KindClassifier(card.kinds) if card.kinds else None
        healthy = card.review.healthy_class if card.review else None
        self._are_types = np.array([name != healthy for name in card.classes])

    def assess(
        self,
        probabilities: DoubleArray,
        features: FloatArray,
        appearances: FloatArray,
        stated: Sequence[KindName | None] | None = None,
    ) -> list[Reliability]:
        """Assess N predictions.

        Args:
            probabilities: (N, K), calibrated.
            features: (N, D) of the engine.
            appearances: (N, 70) of `model.reliability.appearance.describe_appearance`.
            stated: The kind of picture that each file's header states, if it does.
        """
        scores = self.scorer.score(features, appearances) if self.scorer else np.zeros(len(probabilities))
        conformal = self._card.conformal
        kept = keep_classes(probabilities, conformal) if conformal else np.ones_like(probabilities, bool)
        guessed = self.kinds.classify(features).tolist() if self.kinds else [None] * len(probabilities)
        headers = stated or [None] * len(probabilities)
        rows = zip(probabilities, kept, scores.tolist(), guessed, headers, strict=True)
        return [self._assess_one(*row) for row in rows]

    def _assess_one(
        self,
        probabilities: DoubleArray,
        kept: BoolArray,
        distance: float,
        guessed: Sequence[float] | None,
        stated: KindName | None,
    ) -> Reliability:
        card = self._card
        kind = InputKind(**dict(zip(KINDS, guessed, strict=True))).given(stated) if guessed else None
        unfamiliar = _find_unfamiliar(card, kind, probabilities)
        if unfamiliar is not None:
            kept = self._keep_types_together(probabilities, kept)
        names = tuple(name for name, keep in zip(card.classes, kept, strict=True) if keep) if card.conformal else None
        ood = _outlier_score(card, distance, kind) if self.scorer else None
        review = (
            _review(card.review, card.classes, probabilities, names, ood, unfamiliar or Level.NONE)
            if card.review
            else None
        )
        return Reliability(kind, names, ood, review)

    def _keep_types_together(self, probabilities: DoubleArray, kept: BoolArray) -> BoolArray:
        """Find the prediction set (K,) where types of tumours are one class: all of them are in it, or none.

        A threshold for a kind of picture of its own is "Mondrian" conformal prediction: Vovk, Gammerman and Shafer,
        "Algorithmic Learning in a Random World", 2005, section 4.5.
        """
        threshold = self._card.kinds.set_threshold if self._card.kinds else None
        best = int(probabilities.argmax())
        if threshold is None:
            return kept | self._are_types if self._are_types[best] else kept
        tumor = float(probabilities[self._are_types].sum())
        keeps_types = self._are_types[best] or 1 - tumor <= threshold or tumor > 0.5
        keeps_healthy = not self._are_types[best] or tumor <= threshold
        return np.where(self._are_types, keeps_types, keeps_healthy)


def _outlier_score(card: ModelCard, distance: float, kind: InputKind | None) -> OutlierScore:
    """Take the distance, or the probability of no MR of a head where that exceeds its own threshold by more."""
    threshold = card.outlier_detector.threshold if card.outlier_detector else 1.0
    foreign = threshold * kind.not_head_mr / card.kinds.not_head_mr if kind and card.kinds else 0.0
    score = max(distance, foreign)
    return OutlierScore(score=score, threshold=threshold, outlier=score > threshold)


def _find_unfamiliar(card: ModelCard, kind: InputKind | None, probabilities: DoubleArray) -> Level | None:
    """Find the level of review that a sequence calls for on which types of tumours were not learnt; None on others."""
    if kind is None or card.kinds is None or kind.other_mr <= card.kinds.other_mr:
        return None
    best = int(probabilities.argmax())
    if card.review is None or card.classes[best] != card.review.healthy_class:
        return Level.REQUIRED
    return Level.CONSIDER if 1 - probabilities[best] > card.kinds.tumor_probability else Level.NONE


def _review(
    thresholds: ReviewThresholds,
    classes: Sequence[str],
    probabilities: DoubleArray,
    prediction_set: tuple[str, ...] | None,
    ood: OutlierScore | None,
    unfamiliar: Level,
) -> Review:
    best = int(probabilities.argmax())
    confidence = float(probabilities[best])
    says_healthy = classes[best] == thresholds.healthy_class
    levels = {
        Reason.LOW_CONFIDENCE: _level_of(confidence, thresholds),
        Reason.AMBIGUOUS: Level.REQUIRED if prediction_set and len(prediction_set) > 1 else Level.NONE,
        Reason.OUT_OF_DISTRIBUTION: Level.REQUIRED if ood and ood.outlier else Level.NONE,
        Reason.TUMOR_NOT_EXCLUDED: Level.CONSIDER
        if says_healthy and 1 - confidence > thresholds.tumor_probability
        else Level.NONE,
        Reason.UNFAMILIAR_SEQUENCE: unfamiliar,
    }
    reasons = tuple(reason for reason, level in levels.items() if level is not Level.NONE)
    return Review(level=max(levels.values(), key=list(Level).index), reasons=reasons)


def _level_of(confidence: float, thresholds: ReviewThresholds) -> Level:
    if confidence < thresholds.required_confidence:
        return Level.REQUIRED
    return Level.CONSIDER if confidence < thresholds.consider_confidence else Level.NONE
