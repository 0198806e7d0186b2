"""EXIF's orientation, of images that were decoded as they lie in the file."""

import numpy as np
from PIL import Image

from model.images.decoded import ImageArray, is_shown_as_rgb, show_as_rgb

_TURNS = {  # 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_upright(image: ImageArray, orientation: object) -> ImageArray:
    """Turn an image, (H, W, 3); an orientation that does not exist leaves it as it is."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    is_grey = is_shown_as_rgb(image)
    turned = np.asarray(Image.fromarray(image[:, :, 0] if is_grey else image).transpose(turn))
    return show_as_rgb(turned) if is_grey else turned
