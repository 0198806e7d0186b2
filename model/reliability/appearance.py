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
_SIDES = (128, 64, 32, 16)  # pixels; the same scales whatever the network's input size
_QUANTILES = np.linspace(0.02, 0.98, 9)
_EDGE_QUANTILES = np.array([0.9])
_EDGE_FLOOR = 1e-3  # a quarter of a grey level: below lies rounding
NUM_APPEARANCE_VALUES = len(_QUANTILES) + 3 * len(_SIDES) + NUM_THUMBNAIL_VALUES


def describe_appearance(image: ImageArray) -> FloatArray:
    """Describe an image by numbers that need no network.

    Args:
        image: (S, S, 3) uint8, at the network's size and in its colours; see `model.preprocessing.resize_image`.

    Returns:
        (85,): nine quantiles of brightness in [0, 1]; at 128, 64, 32 and 16 pixels the logarithms of the mean
        horizontal, mean vertical and 90th percentile horizontal step between neighbours; a thumbnail of 8 x 8
        in [0, 1].
    """
    brightness = image[:, :, 0] if is_shown_as_rgb(image) else image.mean(axis=2, dtype=np.float32)
    picture = Image.fromarray(brightness.astype(np.float32) / 255)
    scales = [_shrink(picture, side) for side in _SIDES]
    thumbnail = _shrink(picture, THUMBNAIL_SIDE).ravel()
    steps = [value for scale in scales for value in _measure_steps(scale)]
    return np.concatenate([_quantiles(scales[0], _QUANTILES), np.log(steps), thumbnail]).astype(np.float32)


def _measure_steps(image: FloatArray) -> tuple[float, float, float]:
    across, down = np.abs(image[:, 1:] - image[:, :-1]), np.abs(image[1:] - image[:-1])
    (strong,) = _quantiles(across, _EDGE_QUANTILES)
    return float(across.mean()) + _EDGE_FLOOR, float(down.mean()) + _EDGE_FLOOR, float(strong) + _EDGE_FLOOR


def _quantiles(values: FloatArray, parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute `numpy.quantile` of values that are not negative, in a tenth of its time.

    Such floats are in the order of their bits (IEEE 754), and integers are sorted faster, faster even than parted.
    """
    places = parts * (values.size - 1)
    below = places.astype(np.intp)
    above = np.minimum(below + 1, values.size - 1)
    ordered = np.sort(values.view(np.int32), axis=None).view(np.float32)
    low, high = ordered[below].astype(np.float64), ordered[above].astype(np.float64)
    return low + (high - low) * (places - below)


def _shrink(picture: Image.Image, side: int) -> FloatArray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))
