"""How an image looks to somebody who knows no anatomy: brightness, sharpness and a thumbnail.

A network that was trained to tell brains apart has no features left for what is no brain: noise, text and
photographs land amid the scans. 85 numbers of the picture itself see them; `model.reliability` uses both.
"""

import numpy as np
from PIL import Image

from model.card import Preprocessing
from model.preprocessing import FloatArray

THUMBNAIL_SIDE = 8
NUM_THUMBNAIL_VALUES = THUMBNAIL_SIDE**2
_SIDES = (128, 64, 32, 16)  # pixels; the same scales whatever the network's input size
_QUANTILES = np.linspace(0.02, 0.98, 9)
_EDGE_QUANTILE = 0.9
_EDGE_FLOOR = 1e-3  # a quarter of a grey level: below lies rounding
NUM_APPEARANCE_VALUES = len(_QUANTILES) + 3 * len(_SIDES) + NUM_THUMBNAIL_VALUES


def describe_appearance(inputs: FloatArray, preprocessing: Preprocessing) -> FloatArray:
    """Describe each image by numbers that need no network.

    Args:
        inputs: (N, 3, S, S), normalised as `preprocessing` says.

    Returns:
        (N, 85): nine quantiles of brightness in [0, 1]; at 128, 64, 32 and 16 pixels the logarithms of the
        mean horizontal, mean vertical and 90th percentile horizontal step between neighbours; a thumbnail of
        8 x 8 in [0, 1].
    """
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    grey = (inputs * std + mean).mean(axis=1).clip(0, 1)
    return np.stack([_describe(Image.fromarray(image)) for image in grey])


def _describe(picture: Image.Image) -> FloatArray:
    scales = [_shrink(picture, side) for side in _SIDES]
    thumbnail = _shrink(picture, THUMBNAIL_SIDE).ravel()
    steps = [value for scale in scales for value in _measure_steps(scale)]
    return np.concatenate([np.quantile(scales[0], _QUANTILES), np.log(steps), thumbnail]).astype(np.float32)


def _measure_steps(image: FloatArray) -> tuple[float, float, float]:
    across, down = np.abs(np.diff(image, axis=1)), np.abs(np.diff(image, axis=0))
    strong = np.quantile(across, _EDGE_QUANTILE)
    return float(across.mean()) + _EDGE_FLOOR, float(down.mean()) + _EDGE_FLOOR, float(strong) + _EDGE_FLOOR


def _shrink(picture: Image.Image, side: int) -> FloatArray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))
