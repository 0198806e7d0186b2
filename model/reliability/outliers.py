"""How unlike the training data an image is, by the network's features and by its appearance."""

import numpy as np
import numpy.typing as npt

from model.card import OutlierDetector, Region
from model.images.decoded import FloatArray
from model.reliability.probabilities import DoubleArray


class OutlierScorer:
    """Distance to the training data, of the network's features and of the image's appearance."""

    def __init__(self, detector: OutlierDetector) -> None:
        """Decode the card's arrays."""
        self.threshold = detector.threshold
        self._features, self._appearance = RegionDistance(detector.features), RegionDistance(detector.appearance)

    @property
    def num_features(self) -> int:
        """Width of the features it was fitted on."""
        return self._features.num_values

    @property
    def num_appearance_values(self) -> int:
        """Width of the descriptions it was fitted on."""
        return self._appearance.num_values

    def score(self, features: FloatArray, appearances: FloatArray) -> DoubleArray:
        """Compute the larger of the two distances, each in units of its own limit.

        The length of a feature vector says how confident the network is, its direction what it saw: vectors
        are scaled to length 1 (Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML
        2022, section 4).

        Args:
            features: (N, D) of the engine.
            appearances: (N, 70) of `model.reliability.appearance.describe_appearance`.

        Returns:
            (N,), from 0; about 1 at the edge of what is known.
        """
        return np.maximum(self._features.measure(normalize_length(features)), self._appearance.measure(appearances))


class RegionDistance:
    """Measures how far vectors lie from the training data."""

    def __init__(self, region: Region) -> None:
        """Decode the arrays."""
        self._mean, self._scale, self._components, self._centres = (
            array.decode() for array in (region.mean, region.scale, region.components, region.centres)
        )
        rank = len(self._components.T)
        self._excess = self._components.T @ self._components - np.eye(rank)  # of rounded components; else zero
        self._slopes, self._squares = -2 * self._centres.T, (self._centres**2).sum(axis=1)
        self._limit = region.limit

    @property
    def num_values(self) -> int:
        """D, the number of values of a vector."""
        return len(self._mean)

    def measure(self, vectors: npt.NDArray[np.floating]) -> DoubleArray:
        """Compute (min_m |P z - c_m|^2 + |z - P'P z|^2) / limit, with z = (x - mean) * scale.

        The first term is the distance to the nearest of the centres c_m in the principal subspace P of the
        training data, the second what lies outside it (the residual of Wang et al., "ViM", CVPR 2022).

        Args:
            vectors: x, (N, D).

        Returns:
            (N,), from 0.
        """
        standardised = (vectors - self._mean) * self._scale  # z
        inside = standardised @ self._components  # P z
        # The sum, multiplied out: |z|^2 + z'P'(PP' - 1)P z + min_m (|c_m|^2 - 2 c_m'P z)
        nearest = (inside @ self._slopes + self._squares).min(axis=1)
        rest = np.vecdot(standardised, standardised) + np.vecdot(inside, inside @ self._excess)
        distance: DoubleArray = (rest + nearest).clip(0) / self._limit
        return distance


def normalize_length(vectors: FloatArray) -> DoubleArray:
    """Scale each of (N, D) to length 1; a zero vector stays zero."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.maximum(lengths, np.finfo(np.float64).tiny)  # type: ignore[no-any-return]
