import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from model.reliability.outliers import OutlierScorer, RegionDistance
from tests.samples.detectors import create_detector, create_region

D, A = 6, 4
GENERATOR = np.random.default_rng(0)
FEATURES = np.ones((1, D), np.float32)
FAR = np.full((1, A), 100.0, np.float32)
NEAR = np.zeros((1, A), np.float32)


def test_the_distance_is_that_to_the_nearest_centre_and_out_of_the_subspace():
    region = create_region(np.zeros(A), limit=3.0)
    mean, scale, components, centres = (
        array.decode() for array in (region.mean, region.scale, region.components, region.centres)
    )
    vectors = GENERATOR.normal(size=(20, A))
    standardised = (vectors - mean) * scale
    nearest = NearestNeighbors(n_neighbors=1).fit(centres).kneighbors(standardised @ components)[0][:, 0]
    residual = standardised - standardised @ components @ np.linalg.pinv(components)
    expected = (nearest**2 + np.linalg.norm(residual, axis=1) ** 2) / 3
    np.testing.assert_allclose(RegionDistance(region).measure(vectors), expected, rtol=5e-3)


def test_the_score_is_the_larger_distance_and_grows_with_it():
    scorer = OutlierScorer(create_detector(FEATURES[0], A))
    assert scorer.score(FEATURES, NEAR)[0] == pytest.approx(0, abs=1e-5)
    scores = [scorer.score(FEATURES, FAR * factor)[0] for factor in (0.1, 0.5, 1)]
    assert scores == sorted(scores)
    assert scorer.score(-FEATURES, NEAR)[0] > 1


def test_only_the_direction_of_the_features_counts():
    scorer = OutlierScorer(create_detector(FEATURES[0], A))
    features = GENERATOR.normal(size=(5, D)).astype(np.float32)
    appearances = np.repeat(NEAR, 5, axis=0)
    np.testing.assert_allclose(scorer.score(features, appearances), scorer.score(features * 7, appearances), rtol=1e-5)


def test_features_without_length_are_no_error():
    assert np.isfinite(OutlierScorer(create_detector(FEATURES[0], A)).score(np.zeros((1, D), np.float32), NEAR)).all()


def test_many_images_are_scored_as_each_alone():
    scorer = OutlierScorer(create_detector(FEATURES[0], A))
    features = GENERATOR.normal(size=(5, D)).astype(np.float32)
    appearances = GENERATOR.normal(size=(5, A)).astype(np.float32)
    alone = [scorer.score(features[i : i + 1], appearances[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(scorer.score(features, appearances), alone, rtol=1e-9)
