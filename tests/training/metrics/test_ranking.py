import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.metrics.ranking import average_precision, divide, roc_auc, roc_curve, weighted_means

GENERATOR = np.random.default_rng(0)
POSITIVE = GENERATOR.random(300) < 0.3
SCORES = np.round(GENERATOR.normal(size=300) + POSITIVE, 1)  # with many ties
WEIGHTS = GENERATOR.integers(0, 4, (5, 300)).astype(float)


@pytest.mark.parametrize(
    ("ours", "reference"), [(roc_auc, roc_auc_score), (average_precision, average_precision_score)]
)
def test_areas_equal_scikit_learns_with_weights_and_ties(ours, reference):
    expected = [reference(POSITIVE, SCORES, sample_weight=weights) for weights in WEIGHTS]
    assert ours(POSITIVE, SCORES, WEIGHTS) == pytest.approx(expected)


def test_without_one_of_the_sides_an_area_is_not_defined():
    weights = np.stack([POSITIVE, ~POSITIVE]).astype(float)
    assert np.isnan(roc_auc(POSITIVE, SCORES, weights)).all()
    assert np.isnan(average_precision(POSITIVE, SCORES, weights)).tolist() == [False, True]


def test_the_curves_area_is_the_area():
    x, y = zip(*roc_curve(POSITIVE, SCORES), strict=True)
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(POSITIVE, SCORES))


def test_a_perfect_curve_goes_through_the_corner():
    curve = roc_curve(np.array([True, True, False]), np.array([0.9, 0.8, 0.1]))
    assert (curve[0], curve[-2], curve[-1]) == ((0, 0), (0, 1), (1, 1))


def test_dividing_by_nothing_is_undefined_not_an_error():
    assert np.isnan(divide(np.array([1.0, 0.0]), np.zeros(2))).all()


def test_weighted_means_equal_means_over_repeated_rows():
    generator = np.random.default_rng(0)
    values = np.where(generator.random((20, 3)) < 0.3, np.nan, generator.random((20, 3)))
    weights = generator.integers(0, 4, (5, 20))
    expected = [np.nanmean(np.repeat(values, each, axis=0), axis=0) for each in weights]
    assert np.allclose(weighted_means(values, weights.astype(np.float64)), expected)


def test_weighted_means_without_anything_that_counts_they_are_not_defined():
    assert np.isnan(weighted_means(np.array([[np.nan], [1.0]]), np.array([[1.0, 0.0]]))).all()
