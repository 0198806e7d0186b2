"""Changes that leave the brain as it is: a prediction that moves with them has another source.

In public collections the class correlates with the border, the colour mode, the size and the side of the scans.
Images are RGB, (H, W, 3) uint8.
"""

import numpy as np
from PIL import Image

from model.images.decoded import MIN_SIDE_PIXELS, ImageArray

_TINT = (6, -3, 0)  # red, green, blue; their luma is 0.03


def mask_border(image: ImageArray, severity: float, _generator: np.random.Generator) -> ImageArray:
    """Blank a frame of `severity` of each side."""
    height, width = image.shape[:2]
    rows, columns = round(severity * height), round(severity * width)
    masked = np.zeros_like(image)
    inside = np.s_[rows : height - rows, columns : width - columns]
    masked[inside] = image[inside]
    return masked


def change_color_mode(image: ImageArray, _severity: float, _generator: np.random.Generator) -> ImageArray:
    """Make a picture with colours grey, and give a grey one a faint tint of the same luma, as a colour JPEG may."""
    if (image != image[:, :, :1]).any():
        return np.repeat(np.asarray(Image.fromarray(image).convert("L"))[:, :, None], 3, axis=2)
    tinted = (image + np.array(_TINT)).clip(0, 255).astype(np.uint8)
    return np.where((image > -min(_TINT)) & (image < 255 - max(_TINT)), tinted, image)


def change_size(image: ImageArray, severity: float, _generator: np.random.Generator) -> ImageArray:
    """Store the picture with 2^severity times as many rows and columns: the only change of the shape."""
    picture = Image.fromarray(image)
    width, height = (max(MIN_SIDE_PIXELS, round(side * 2**severity)) for side in picture.size)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def mirror(image: ImageArray, _severity: float, _generator: np.random.Generator) -> ImageArray:
    """Swap left and right."""
    return np.ascontiguousarray(image[:, ::-1])
