import numpy as np

from model.card import OutlierDetector, PackedArray, Region
from model.reliability.outliers import normalize_length


def create_detector(features, num_appearance_values):
    """Create a detector of random shape in whose middle lie `features` (D,) and an appearance of zeros."""
    centre = normalize_length(features[None])[0]
    return OutlierDetector(
        features=create_region(centre),
        appearance=create_region(np.zeros(num_appearance_values)),
        threshold=1.0,
        percentile=99,
    )


def create_region(mean, rank=2, limit=1.0):
    """Create a region of random shape around `mean` (D,)."""
    size = len(mean)
    generator = np.random.default_rng(size)
    components, _ = np.linalg.qr(generator.normal(size=(size, rank)))
    arrays = {
        "mean": mean,
        "scale": generator.uniform(0.5, 2, size),
        "components": components,
        "centres": np.vstack([np.zeros(rank), generator.normal(size=(4, rank))]),
    }
    return Region(**{name: PackedArray.encode(array) for name, array in arrays.items()}, limit=limit)
