import numpy as np

from training.metrics.weighted_means import weighted_means


def test_they_equal_means_over_repeated_rows():
    generator = np.random.default_rng(0)
    values = np.where(generator.random((20, 3)) < 0.3, np.nan, generator.random((20, 3)))
    weights = generator.integers(0, 4, (5, 20))
    expected = [np.nanmean(np.repeat(values, each, axis=0), axis=0) for each in weights]
    assert np.allclose(weighted_means(values, weights.astype(np.float64)), expected)


def test_without_anything_that_counts_they_are_not_defined():
    assert np.isnan(weighted_means(np.array([[np.nan], [1.0]]), np.array([[1.0, 0.0]]))).all()
