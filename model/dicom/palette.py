"""Stored values to the colours of a palette: PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from model.dicom.lookup_table import look_up, read_table
from model.images.decoded import ImageArray

_TABLES = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
ATTRIBUTES = [
    *(f"{name}{part}" for name in _TABLES for part in ("Descriptor", "Data")),
    *(f"Segmented{name}Data" for name in _TABLES),
]


def apply_palette(stored: npt.NDArray[Any], dataset: Dataset) -> ImageArray:
    """Look up the colours of stored values (H, W).

    Raises:
        TruncatedImageError: If a table is missing or damaged.
        UnsupportedPixelsError: If it is built in a way that is not read.
    """
    image = np.empty((*stored.shape, 3), np.uint8)
    tables = [read_table(dataset, bool((stored < 0).any()), name) for name in _TABLES]
    # Some writers announce 16 bits and use the lower 8.
    is_narrow = max(entries.max() for entries, _, _ in tables) < 256
    for channel, (entries, first, num_bits) in enumerate(tables):
        colors = np.rint(entries * (255 / ((1 << (8 if is_narrow else num_bits)) - 1)))
        image[..., channel] = np.clip(look_up(stored.astype(np.float64), colors, first), 0, 255)
    return image
