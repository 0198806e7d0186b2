from pathlib import Path

import numpy as np
import pytest

from model.card import KindHead, PackedArray
from model.classifier import Classifier
from model.engines.loading import load_engine
from tests.samples.phantoms import create_card, create_tiny_network
from training.data.scans import Scan, find_scans
from training.data.splits import TestSplit
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.reviews import Reviews, review_means, review_scans

CARD = create_card(create_tiny_network())  # glioma, notumor, pituitary
LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.eye(3)[[0, 1, 1, 0]]  # one glioma called healthy, one pituitary tumour called glioma
OUTPUTS = SplitOutputs(
    "grouped_test",
    tuple(Scan(Path(str(index)), label) for index, label in enumerate(LABELS.tolist())),
    LABELS,
    logits=PROBABILITIES.astype(np.float32),
    features=np.zeros((4, 2), np.float32),
    appearances=np.zeros((4, 85), np.float32),
    probabilities=PROBABILITIES,
    groups=list("abcd"),
)


def _values(reviews):
    return {name: mean(np.ones((1, 4)))[0] for name, mean in review_means(CARD, OUTPUTS, reviews).items()}


def test_shares_and_errors_are_counted_by_level():
    values = _values(Reviews(("none", "required", "none", "consider")))
    assert values["share_none"] == 0.5
    assert values["error_rate_none"] == 0
    assert values["error_rate_required"] == values["error_rate_consider"] == 1
    assert values["missed_tumors_sent_to_review"] == 1
    assert values["healthy_sent_to_review"] == 0
    assert _values(Reviews(("none", "none", "consider", "none")))["healthy_sent_to_review"] == 1


def test_tumours_of_another_sequence_are_those_above_the_cards_threshold():
    head = KindHead(
        weights=PackedArray.encode(np.zeros((3, 2))),
        bias=(0.0, 0.0, 0.0),
        not_head_mr=0.5,
        other_mr=0.4,
        tumor_probability=0.1,
    )
    card = CARD.model_copy(update={"kinds": head})
    kinds = np.array([[0.5, 0.5, 0], [0.6, 0.4, 0], [0.1, 0.9, 0], [1, 0, 0]])
    means = review_means(card, OUTPUTS, Reviews(("none",) * 4, kinds=kinds))
    assert means["tumors_of_another_sequence"](np.ones((1, 4)))[0] == pytest.approx(1 / 3)


def test_sets_are_measured_by_coverage_and_size():
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]], bool)
    values = _values(Reviews(("none",) * 4, sets, np.array([False, True, False, False])))
    assert values["coverage"] == 0.75
    assert values["set_size"] == pytest.approx(1.25)
    assert values["outlier_rate"] == 0.25


def test_what_the_card_does_not_hold_is_left_out():
    assert _values(Reviews(("none",) * 4))["missed_tumors_sent_to_review"] == 0
    assert not {"coverage", "set_size", "outlier_rate", "tumors_of_another_sequence"} & set(
        _values(Reviews(("none",) * 4))
    )


def test_reviews_are_those_the_service_gives(grouped_folder, calibrated_pair):
    classifier = Classifier.load(calibrated_pair[1])
    scans = find_scans(grouped_folder, "Testing", CARD.classes).scans
    (classified,) = classify_splits(load_engine(calibrated_pair[1]), [TestSplit("official_test", scans)])
    reviews = review_scans(classifier.card, classified)
    assert reviews is not None
    assert reviews.sets is not None
    assert reviews.outliers is not None
    for index, scan in enumerate(scans):
        prediction = classifier.predict(scan.path.read_bytes())
        assert prediction.review is not None
        assert prediction.ood is not None
        assert prediction.review.level == reviews.levels[index]
        assert prediction.ood.outlier == reviews.outliers[index]
        assert prediction.prediction_set == tuple(np.array(CARD.classes)[reviews.sets[index]])


def test_a_card_without_thresholds_reviews_nothing():
    assert review_scans(CARD, OUTPUTS) is None
