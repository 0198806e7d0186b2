"""From an image to the network's inputs; the only place where this is done, for training and serving alike."""

import numpy as np
from PIL import Image

from model.card import Preprocessing
from model.images.decoded import FloatArray, ImageArray, is_shown_as_rgb, show_as_rgb


def resize_image(image: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """Bring an image to the network's size and colours.

    Args:
        image: RGB, (H, W, 3) uint8.

    Returns:
        (S, S, 3) uint8 with S the `input_size`; with `color` "grey" the three channels are one, read-only.
    """
    if preprocessing.color == "rgb":
        return np.asarray(_resize(Image.fromarray(image), preprocessing))
    # The luma of a grey pixel is the pixel, to the bit.
    grey = Image.fromarray(image[:, :, 0]) if is_shown_as_rgb(image) else Image.fromarray(image).convert("L")
    return show_as_rgb(np.asarray(_resize(grey, preprocessing)))


def _resize(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size = (preprocessing.input_size, preprocessing.input_size)
    gap = 1.0 if preprocessing.interpolation == "reduced_bilinear" else None
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)


def normalize_image(image: ImageArray, preprocessing: Preprocessing) -> FloatArray:
    """Standardise the channels: (value / 255 - mean) / std.

    Args:
        image: (S, S, 3) uint8.

    Returns:
        (3, S, S) float32, contiguous.
    """
    mean = np.asarray(preprocessing.mean, np.float32) * np.float32(255)
    scale = np.float32(1) / (np.asarray(preprocessing.std, np.float32) * np.float32(255))
    standardised = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):  # plane by plane: three times as fast as pixel by pixel
        np.subtract(image[:, :, channel], mean[channel], out=standardised[channel])
        standardised[channel] *= scale[channel]
    return standardised


def preprocess_image(image: ImageArray, preprocessing: Preprocessing) -> FloatArray:
    """Turn one image into inputs (1, 3, S, S): `resize_image`, then `normalize_image`."""
    return normalize_image(resize_image(image, preprocessing), preprocessing)[None]


def self_test_image(size: int) -> ImageArray:
    """Draw the picture whose logits every checkpoint carries: an ellipse with a bright spot.

    Made of integer arithmetic only, so that it is the same on every machine.

    Returns:
        (size, size, 3) uint8.
    """
    rows, columns = np.mgrid[0:size, 0:size].astype(np.int64)
    x, y = 2 * columns - size + 1, 2 * rows - size + 1
    head = (x * x * 16 + y * y * 9) <= 9 * size * size
    spot = (x - size // 4) ** 2 + (y + size // 5) ** 2 <= (size // 6) ** 2
    grey = np.where(head, 60 + (rows * 3 + columns * 5) % 40, 0) + np.where(spot, 120, 0)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def self_test_inputs(preprocessing: Preprocessing) -> FloatArray:
    """Turn `self_test_image` into inputs (1, 3, S, S)."""
    return normalize_image(self_test_image(preprocessing.input_size), preprocessing)[None]
