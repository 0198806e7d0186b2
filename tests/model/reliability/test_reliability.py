import numpy as np
import pytest

from model.card import ConformalSets, KindHead, PackedArray, ReviewThresholds
from model.reliability.reliability import Level, Reason, ReliabilityCheck, keep_classes
from tests.samples.detectors import create_detector
from tests.samples.phantoms import CLASSES, create_card, create_tiny_network

D, A = 6, 4
FAR = np.full((1, A), 100.0, np.float32)
NEAR = np.zeros((1, A), np.float32)
FEATURES = np.ones((1, D), np.float32)


def _assess(probabilities, appearance=NEAR, **changes):
    fields = {
        "conformal": ConformalSets(threshold=0.7),
        "outlier_detector": create_detector(FEATURES[0], A),
        "review": ReviewThresholds(healthy_class="notumor"),
        **changes,
    }
    check = ReliabilityCheck(create_card(create_tiny_network(), **fields))
    return check.assess(np.array([probabilities]), FEATURES, appearance)[0]


@pytest.mark.parametrize(
    ("threshold", "kept"), [(0.0, [True, False, False]), (0.65, [True, True, False]), (1.0, [True] * 3)]
)
def test_a_set_keeps_what_the_threshold_does_not_rule_out(threshold, kept):
    sets = keep_classes(np.array([[0.6, 0.35, 0.05]]), ConformalSets(threshold=threshold))
    assert sets[0].tolist() == kept


@pytest.mark.parametrize(
    ("probabilities", "level", "reasons"),
    [
        ((0.95, 0.03, 0.02), Level.NONE, ()),
        ((0.90, 0.05, 0.05), Level.NONE, ()),
        ((0.85, 0.10, 0.05), Level.CONSIDER, (Reason.LOW_CONFIDENCE,)),
        ((0.80, 0.10, 0.10), Level.CONSIDER, (Reason.LOW_CONFIDENCE,)),
        ((0.75, 0.15, 0.10), Level.REQUIRED, (Reason.LOW_CONFIDENCE,)),
        ((0.55, 0.40, 0.05), Level.REQUIRED, (Reason.LOW_CONFIDENCE, Reason.AMBIGUOUS)),
        ((0.01, 0.985, 0.005), Level.NONE, ()),
        ((0.03, 0.96, 0.01), Level.CONSIDER, (Reason.TUMOR_NOT_EXCLUDED,)),
        ((0.08, 0.85, 0.07), Level.CONSIDER, (Reason.LOW_CONFIDENCE, Reason.TUMOR_NOT_EXCLUDED)),
    ],
)
def test_the_review_follows_from_the_probabilities(probabilities, level, reasons):
    review = _assess(probabilities).review
    assert (review.level, review.reasons) == (level, reasons)


def test_an_outlier_needs_review_however_sure_the_network_is():
    found = _assess((0.999, 0.0005, 0.0005), FAR)
    assert found.ood.outlier
    assert found.ood.score > found.ood.threshold == 1
    assert found.review.level is Level.REQUIRED
    assert found.review.reasons == (Reason.OUT_OF_DISTRIBUTION,)


def test_an_ambiguous_set_needs_review_however_sure_the_network_is():
    found = _assess((0.92, 0.04, 0.04), conformal=ConformalSets(threshold=0.97))
    assert found.prediction_set == CLASSES
    assert found.review.level is Level.REQUIRED


def test_thresholds_come_from_the_card():
    relaxed = ReviewThresholds(
        required_confidence=0.1, consider_confidence=0.2, healthy_class="notumor", tumor_probability=0.5
    )
    assert _assess((0.3, 0.6, 0.1), review=relaxed, conformal=None).review.level is Level.NONE


def test_without_a_healthy_class_no_tumour_is_missed():
    assert _assess((0.03, 0.96, 0.01), review=ReviewThresholds()).review.reasons == ()


def test_what_the_card_lacks_is_not_answered():
    found = _assess((0.5, 0.4, 0.1), conformal=None, outlier_detector=None, review=None)
    assert (found.prediction_set, found.ood, found.review) == (None, None, None)
    partial = _assess((0.5, 0.4, 0.1), conformal=None, outlier_detector=None)
    assert partial.review.reasons == (Reason.LOW_CONFIDENCE,)


def _head(logits, set_threshold=None):
    return KindHead(
        weights=PackedArray.encode(np.zeros((3, D))),
        bias=logits,
        not_head_mr=0.4,
        other_mr=0.6,
        tumor_probability=0.01,
        set_threshold=set_threshold,
    )


CONTRAST_T1, OTHER_MR, NOT_HEAD_MR = (5.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("probabilities", "kind", "level", "reasons", "kept"),
    [
        ((0.97, 0.02, 0.01), CONTRAST_T1, Level.NONE, (), ["glioma"]),
        ((0.97, 0.02, 0.01), OTHER_MR, Level.REQUIRED, (Reason.AMBIGUOUS, Reason.UNFAMILIAR_SEQUENCE), None),
        ((0.005, 0.985, 0.01), OTHER_MR, Level.CONSIDER, (Reason.UNFAMILIAR_SEQUENCE,), ["notumor"]),
        ((0.004, 0.993, 0.003), OTHER_MR, Level.NONE, (), ["notumor"]),
        ((0.004, 0.993, 0.003), NOT_HEAD_MR, Level.REQUIRED, (Reason.OUT_OF_DISTRIBUTION,), ["notumor"]),
    ],
)
def test_types_are_not_told_apart_where_they_were_not_learnt(probabilities, kind, level, reasons, kept):
    found = _assess(probabilities, kinds=_head(kind))
    assert found.review is not None
    assert (found.review.level, found.review.reasons) == (level, reasons)
    assert list(found.prediction_set or ()) == (kept or [name for name in CLASSES if name != "notumor"])


@pytest.mark.parametrize(
    ("probabilities", "kept"),
    [
        ((0.02, 0.97, 0.01), ("notumor",)),
        ((0.10, 0.80, 0.10), CLASSES),
        ((0.30, 0.40, 0.30), CLASSES),
        ((0.90, 0.05, 0.05), ("glioma", "pituitary")),
        ((0.50, 0.30, 0.20), CLASSES),
    ],
)
def test_on_other_sequences_all_types_are_in_a_set_or_none(probabilities, kept):
    found = _assess(probabilities, kinds=_head(OTHER_MR, set_threshold=0.85))
    assert found.prediction_set == kept


def test_an_image_that_is_no_scan_of_a_head_is_an_outlier_however_near_it_lies():
    near, far = _assess((0.9, 0.05, 0.05), kinds=_head(NOT_HEAD_MR)).ood, _assess((0.9, 0.05, 0.05)).ood
    assert near is not None
    assert far is not None
    assert near.outlier
    assert not far.outlier
    assert near.threshold == far.threshold


def test_weights_without_kinds_name_none():
    assert _assess((0.9, 0.05, 0.05)).kind is None
    kind = _assess((0.9, 0.05, 0.05), kinds=_head(OTHER_MR)).kind
    assert kind is not None
    assert kind.other_mr == max(kind.contrast_t1, kind.other_mr, kind.not_head_mr)
