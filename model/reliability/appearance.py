"""The appearance of an image without any anatomy: brightness, sharpness and a thumbnail.

A network trained to tell brains apart has no features left for anything else: noise, text and photographs land amid the
scans. 85 numbers of the picture itself tell them apart; `model.reliability.reliability` uses both.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.images.decoded import FloatArray, ImageArray, is_shown_as_rgb

THUMBNAIL_SIDE = 8
NUM_THUMBNAIL_VALUES = THUMBNAIL_SIDE**2
_LARGEST_SIDE = 128  # pixels; the same scales whatever the network's input size
_NUM_SCALES = 4
_QUANTILES = np.linspace(0.02, 0.98, 9)
_EDGE_QUANTILES = np.array([0.9])
_EDGE_FLOOR = 0.25  # grey levels: below lies rounding
NUM_APPEARANCE_VALUES = len(_QUANTILES) + 3 * _NUM_SCALES + NUM_THUMBNAIL_VALUES


def describe_appearance(image: ImageArray) -> FloatArray:
    """Describe an image by numbers that need no network.

    Everything is computed in 8 bits, which a processor does 16 to 64 at a time.

    Args:
        image: (S, S, 3) uint8, at the network's size and in its colours; see `model.preprocessing.resize_image`.

    Returns:
        (85,): nine quantiles of brightness in [0, 1]; at 128, 64, 32 and 16 pixels the logarithms of the mean
        horizontal, mean vertical and 90th percentile horizontal step between neighbours; a thumbnail of 8 x 8
        in [0, 1].
    """
    brightness = image[:, :, 0] if is_shown_as_rgb(image) else image.mean(axis=2).round().astype(np.uint8)
    picture = Image.fromarray(brightness).resize((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BOX)
    scales = [np.asarray(picture)]
    while len(scales) < _NUM_SCALES:
        picture = picture.reduce(2)
        scales.append(np.asarray(picture))
    quantiles = _quantiles(scales[0], _QUANTILES)
    steps = [value for scale in scales for value in _measure_steps(scale)]
    thumbnail = np.asarray(picture.reduce(2)).ravel()
    return np.concatenate([quantiles / 255, np.log(steps), thumbnail / 255]).astype(np.float32)


def _measure_steps(grey: ImageArray) -> tuple[float, float, float]:
    """Measure the steps between neighbours in levels: mean across, mean down, and a high quantile across."""
    across, down = _distances(grey[:, 1:], grey[:, :-1]), _distances(grey[1:], grey[:-1])
    (strong,) = _quantiles(across, _EDGE_QUANTILES)
    return float(across.mean()) + _EDGE_FLOOR, float(down.mean()) + _EDGE_FLOOR, float(strong) + _EDGE_FLOOR


def _distances(left: ImageArray, right: ImageArray) -> ImageArray:
    return np.maximum(left, right) - np.minimum(left, right)


def _quantiles(grey: ImageArray, parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute `numpy.quantile` of 8-bit values, by counting them."""
    ends = np.bincount(grey.ravel(), minlength=256).cumsum()
    places = parts * (grey.size - 1)
    below = np.floor(places)
    low, high = np.searchsorted(ends, below, "right"), np.searchsorted(ends, np.ceil(places), "right")
    return low + (high - low) * (places - below)
