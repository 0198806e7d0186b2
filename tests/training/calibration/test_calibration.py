from dataclasses import replace

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.special import softmax as reference_softmax
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin

from model.card import ReviewThresholds, parse_card
from model.engines.loading import load_engine
from model.reliability.appearance import NUM_APPEARANCE_VALUES
from model.reliability.outliers import OutlierScorer, RegionDistance
from model.reliability.probabilities import softmax
from model.reliability.reliability import keep_classes
from tests.samples.phantoms import CLASSES, calibrate, create_judged, judge_drawings, save_tiny_checkpoint
from training.calibration.calibration import (
    MIN_SET_SCANS,
    fit_conformal,
    fit_outlier_detector,
    fit_region,
    fit_temperature,
    smallest_sample,
    tolerance_limit,
)


class _Table(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """For MAPIE: a fitted classifier whose inputs are its probabilities."""

    classes_ = np.arange(4)

    def fit(self, _inputs, _labels):
        return self

    def predict_proba(self, inputs):
        return inputs

    def predict(self, inputs):
        return inputs.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


def _draw(num_scans, sharpness=1.0, seed=0):
    """Logits, and labels that follow their softmax at `sharpness`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (num_scans, 4)).astype(np.float32)
    probabilities = reference_softmax(logits / sharpness, axis=1)
    labels = (probabilities.cumsum(axis=1) > generator.random((num_scans, 1))).argmax(axis=1)
    return labels, logits


def _draw_marked(num_scans, sharpness):
    labels, logits = _draw(num_scans, sharpness)
    return np.eye(4, dtype=bool)[labels], logits


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_found_where_a_half_of_the_scans_is_known_by_two_classes(planted):
    possible, logits = _draw_marked(40_000, planted)
    possible[::2, 2:] |= possible[::2, 2:].any(axis=1, keepdims=True)
    assert fit_temperature(possible, logits) == pytest.approx(planted, rel=0.05)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_found(planted):
    assert fit_temperature(*_draw_marked(20_000, planted)) == pytest.approx(planted, rel=0.05)


def test_at_the_temperature_the_loss_has_no_slope():
    """d NLL / d(1/T) = mean(E_p[z] - z_true), which is 0 at the optimum (Guo et al., 2017)."""
    labels, logits = _draw(500, 1.7)
    probabilities = softmax(logits, fit_temperature(np.eye(4, dtype=bool)[labels], logits))
    slope = ((probabilities * logits).sum(axis=1) - logits[np.arange(500), labels]).mean()
    assert slope == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("num_scans", [100, 251])
def test_prediction_sets_are_those_of_mapie(level, num_scans):
    labels, logits = _draw(num_scans)
    probabilities, unseen = softmax(logits), softmax(_draw(300, seed=1)[1])
    reference = SplitConformalClassifier(_Table(), confidence_level=level, conformity_score="lac", prefit=True)
    reference.conformalize(probabilities, labels)
    expected = reference.predict_set(unseen)[1][:, :, 0]
    expected[np.arange(300), unseen.argmax(axis=1)] = True  # ours are never empty
    assert np.array_equal(keep_classes(unseen, fit_conformal(labels, probabilities, level)), expected)


def test_sets_cover_what_they_promise():
    """Over many draws the mean coverage lies between level and level + 1 / (n + 1)."""
    covered = []
    for seed in range(200):
        labels, logits = _draw(300, seed=seed)
        conformal = fit_conformal(labels[:100], softmax(logits[:100]), 0.9)
        covered.append(keep_classes(softmax(logits[100:]), conformal)[np.arange(200), labels[100:]].mean())
    assert 0.9 - 0.01 < np.mean(covered) < 0.91 + 0.01


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_smallest_sample_is_that_of_the_finite_sample_correction(level):
    """With alpha = 1 - level, ceil(1 / alpha) - 1 scans."""
    assert smallest_sample(level) == round(1 / (1 - level), 6) - 1


def test_sets_of_the_fewest_scans_cover_what_they_promise_too():
    assert smallest_sample(0.95) == MIN_SET_SCANS
    covered = []
    for seed in range(400):
        labels, logits = _draw(119, seed=seed)
        conformal = fit_conformal(labels[:MIN_SET_SCANS], softmax(logits[:MIN_SET_SCANS]))
        covered.append(keep_classes(softmax(logits[19:]), conformal)[np.arange(100), labels[19:]].mean())
    assert 0.95 - 0.01 < np.mean(covered) <= 1


@pytest.mark.parametrize(
    ("num_scans", "lacking"),
    [
        (9, {"temperature": 30, "conformal": 19, "outlier_detector": 10, "outlier_percentile": 99}),
        (10, {"temperature": 30, "conformal": 19, "outlier_percentile": 99}),
        (19, {"temperature": 30, "outlier_percentile": 99}),
        (30, {"outlier_percentile": 99}),
        (98, {"outlier_percentile": 99}),
        (99, {}),
    ],
)
def test_all_is_fitted_that_the_scans_suffice_for_and_the_rest_is_said(tmp_path, num_scans, lacking):
    engine = load_engine(save_tiny_checkpoint(tmp_path / "tiny.pth"))
    nobody = _part(0)
    card = calibrate(engine.card, _part(60), nobody, _part(num_scans, seed=1))
    assert {part: (each.found, each.needed) for part, each in card.shortfalls.items()} == {
        part: (num_scans, needed) for part, needed in lacking.items()
    }
    assert (card.temperature == 1) == ("temperature" in lacking)
    assert (card.conformal is None) == ("conformal" in lacking)
    assert (card.outlier_detector is None) == ("outlier_detector" in lacking)
    assert parse_card(card.model_dump(mode="json")) == card


def test_with_more_scans_a_card_lacks_nothing_any_more(tmp_path):
    engine = load_engine(save_tiny_checkpoint(tmp_path / "tiny.pth"))
    few = calibrate(engine.card, _part(60), _part(0), _part(5, seed=1))
    assert calibrate(few, _part(60), _part(0), _part(99, seed=1)).shortfalls == {}


@pytest.mark.parametrize("num_scans", [30, 300])
def test_scans_that_are_all_right_do_not_make_a_network_certain(num_scans):
    labels, logits = _draw(num_scans)
    logits = logits.copy()
    logits[np.arange(num_scans), labels] += 20
    confidence = softmax(logits, fit_temperature(np.eye(4, dtype=bool)[labels], logits)).max(axis=1).mean()
    assert confidence == pytest.approx((num_scans + 1) / (num_scans + 2), abs=0.01)
    assert confidence < 1 - 1e-4


def test_too_few_scans_give_sets_of_all_classes():
    labels, logits = _draw(10)
    assert fit_conformal(labels, softmax(logits), 0.95).threshold == 1


def test_in_a_region_of_one_centre_the_distance_is_euclidean():
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    region = fit_region(vectors[:4], vectors[:4], np.ones(5), 100)
    expected = ((vectors - vectors[:4].mean(axis=0)) ** 2).sum(axis=1)
    np.testing.assert_allclose(RegionDistance(region).measure(vectors) * region.limit, expected, rtol=1e-2)


def test_the_components_are_principal():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(400, 40)) * np.linspace(3, 0.1, 40)
    components = fit_region(vectors, vectors, np.ones(40), 99).components.decode()
    np.testing.assert_allclose(components.T @ components, np.eye(24), atol=1e-2)
    expected = np.linalg.svd(vectors - vectors.mean(axis=0))[2][:24]
    np.testing.assert_allclose(np.linalg.svd(expected @ components)[1], 1, atol=1e-2)


def _part(num_scans, seed=0, shift=0.0):
    generator = np.random.default_rng(seed)
    features = generator.normal(1, 0.2, (num_scans, 50)).astype(np.float32)
    appearances = generator.normal(0, 1, (num_scans, NUM_APPEARANCE_VALUES)).astype(np.float32) + np.float32(shift)
    labels, logits = _draw(num_scans, seed=seed)
    return create_judged(labels, logits, features, appearances)


def test_one_in_a_hundred_scans_like_the_calibration_ones_is_an_outlier():
    detector = fit_outlier_detector(_part(2000), [_part(500, seed=1), _part(500, seed=3)])
    unseen = _part(2000, seed=2)
    scores = OutlierScorer(detector).score(unseen.features, unseen.appearances)
    assert 0.002 < (scores > detector.threshold).mean() < 0.025


def test_the_tolerance_limit_of_independent_scores_is_that_of_order_statistics():
    """Wilks: the k-th of n sorted scores, k the 97.5 % quantile of how many of n lie below the percentile."""
    scores = np.random.default_rng(0).exponential(size=2000)
    groups = [str(index) for index in range(2000)]
    rank = int(binom.ppf(0.975, 2000, 0.99))
    nearby = np.sort(scores)[[rank - 4, min(rank + 4, 1999)]]
    assert nearby[0] <= tolerance_limit(scores, groups, 99) <= nearby[1]


def test_scans_of_few_patients_give_a_wider_tolerance():
    generator = np.random.default_rng(0)
    scores = np.repeat(generator.exponential(size=40), 25) + generator.normal(0, 0.01, 1000)
    patients = [str(index // 25) for index in range(1000)]
    single = [str(index) for index in range(1000)]
    assert tolerance_limit(scores, patients, 90) > tolerance_limit(scores, single, 90)


@pytest.mark.parametrize("what", ["features", "appearances"])
def test_other_features_and_another_appearance_are_each_enough(what):
    detector = fit_outlier_detector(_part(500), [_part(500, seed=1)])
    part = _part(100, seed=2)
    arrays = {"features": part.features, "appearances": part.appearances}
    arrays[what] = arrays[what] * np.float32(-1) + np.float32(5 * (what == "appearances"))
    assert (OutlierScorer(detector).score(**arrays) > detector.threshold).all()


def test_the_detector_is_small_and_the_same_again():
    generator = np.random.default_rng(0)
    parts = [
        create_judged(
            np.zeros(600, np.int64),
            np.zeros((600, 4), np.float32),
            generator.normal(size=(600, 1280)).astype(np.float32),
            generator.normal(size=(600, NUM_APPEARANCE_VALUES)).astype(np.float32),
        )
        for _ in range(2)
    ]
    train, calibration = parts
    detector = fit_outlier_detector(train, [calibration])
    assert len(detector.model_dump_json()) < 150_000
    assert fit_outlier_detector(train, [calibration]) == detector


def test_without_a_validation_part_the_calibration_part_alone_decides_where_outliers_begin(tmp_path):
    engine = load_engine(save_tiny_checkpoint(tmp_path / "tiny.pth"))
    train, calibration = judge_drawings(engine, range(60)), judge_drawings(engine, range(90, 120))
    empty = {
        name: getattr(train, name)[:0] for name in ("scans", "labels", "logits", "features", "appearances", "groups")
    }
    nobody = replace(train, **empty)
    found = calibrate(engine.card, train, nobody, calibration).outlier_detector
    assert found == fit_outlier_detector(train, [calibration])


def test_a_calibrated_card_survives_the_way_through_json(tmp_path):
    engine = load_engine(save_tiny_checkpoint(tmp_path / "tiny.pth"))
    card = calibrate(
        engine.card, *(judge_drawings(engine, part) for part in (range(60), range(60, 90), range(90, 120)))
    )
    assert parse_card(card.model_dump(mode="json")) == card
    assert card.classes == CLASSES
    assert card.review == ReviewThresholds(healthy_class="notumor")
    assert card.conformal is not None
    assert card.conformal.level == 0.95
