"""The appearance of an image without any anatomy: brightness, sharpness and a thumbnail.

A network trained to tell brains apart has no features left for anything else: noise, text and photographs land amid the
scans. 70 numbers of the picture itself tell them apart; `model.reliability.reliability` uses both.
"""

import math
from bisect import bisect_right

import numpy as np
from PIL import Image

from model.images.decoded import FloatArray, ImageArray, is_shown_as_rgb

THUMBNAIL_SIDE = 7
NUM_THUMBNAIL_VALUES = THUMBNAIL_SIDE**2
_NUM_SCALES = 4
_LARGEST_SIDE = THUMBNAIL_SIDE * 2**_NUM_SCALES  # pixels; the same scales whatever the network's input size
_QUANTILES = np.linspace(0.02, 0.98, 9).tolist()
_EDGE_QUANTILE = 0.9
_EDGE_FLOOR = 0.25  # grey levels: below lies rounding
_NUM_LEVELS = 256
NUM_APPEARANCE_VALUES = len(_QUANTILES) + 3 * _NUM_SCALES + NUM_THUMBNAIL_VALUES


def describe_appearance(image: ImageArray) -> FloatArray:
    """Describe an image by numbers that need no network.

    Everything is computed in 8 bits, which a processor does 16 to 64 at a time.

    Args:
        image: (S, S, 3) uint8, at the network's size and in its colours; see `model.preprocessing.resize_image`.

    Returns:
        (70,): nine quantiles of brightness in [0, 1]; at 112, 56, 28 and 14 pixels the logarithms of the mean
        horizontal, mean vertical and 90th percentile horizontal step between neighbours; a thumbnail of 7 x 7
        in [0, 1].
    """
    brightness = image[:, :, 0] if is_shown_as_rgb(image) else image.mean(axis=2).round().astype(np.uint8)
    side = (_LARGEST_SIDE, _LARGEST_SIDE)
    picture = Image.fromarray(brightness).resize(side, Image.Resampling.BOX, reducing_gap=1.0)
    pictures = [picture, *(picture := picture.reduce(2) for _ in range(_NUM_SCALES))]
    *scales, thumbnail = map(np.asarray, pictures)
    counts = _count_up_to(scales[0])
    quantiles = [_quantile(counts, part) / 255 for part in _QUANTILES]
    steps = [math.log(value + _EDGE_FLOOR) for scale in scales for value in _measure_steps(scale)]
    return np.concatenate([quantiles, steps, thumbnail.ravel() / 255]).astype(np.float32)


def _measure_steps(grey: ImageArray) -> tuple[float, float, float]:
    """Measure the steps between neighbours in levels: mean across, mean down, and a high quantile across."""
    across, down = _distances(grey[:, 1:], grey[:, :-1]), _distances(grey[1:], grey[:-1])
    counts, sum_down = _count_up_to(across), int(np.add.reduce(down, axis=None, dtype=np.uint32))
    return _NUM_LEVELS - sum(counts) / across.size, sum_down / down.size, _quantile(counts, _EDGE_QUANTILE)


def _distances(left: ImageArray, right: ImageArray) -> ImageArray:
    return np.maximum(left, right) - np.minimum(left, right)


def _count_up_to(grey: ImageArray) -> list[int]:
    """Count the pixels up to each level; 256 levels less their mean share is the mean of the pixels."""
    counts: list[int] = np.bincount(grey.ravel(), minlength=_NUM_LEVELS).cumsum().tolist()
    return counts


def _quantile(counts: list[int], part: float) -> float:
    """Compute `numpy.quantile` of 8-bit values from their counts."""
    place = part * (counts[-1] - 1)
    low, high = bisect_right(counts, math.floor(place)), bisect_right(counts, math.ceil(place))
    return low + (high - low) * (place - math.floor(place))
