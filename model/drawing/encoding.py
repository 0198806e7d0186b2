"""Pictures as files of the formats that every browser shows."""

import io
from enum import StrEnum
from typing import Any

from PIL import Image

from model.drawing.png import encode_png
from model.errors import PictureFormatError
from model.images.decoded import ImageArray


class FileFormat(StrEnum):
    """The format of a picture, by Pillow's name."""

    PNG = "PNG"
    WEBP = "WEBP"
    JPEG = "JPEG"


# At 90 the noise of a scan stays, and no edge has a halo. Slower methods of WebP save 5 % of the bytes for three times
# the time; `exact` keeps the colour of pixels that are transparent.
_OPTIONS: dict[FileFormat, dict[str, Any]] = {
    FileFormat.WEBP: {"quality": 90, "method": 0},
    FileFormat.JPEG: {"quality": 90},
}
_LOSSLESS_WEBP: dict[str, Any] = {"lossless": True, "quality": 0, "method": 0, "exact": True}
_MAX_SIDE = {FileFormat.WEBP: 16383, FileFormat.JPEG: 65500}  # in pixels; of PNG more than memory holds


def encode_picture(image: ImageArray, form: FileFormat, *, lossless: bool) -> bytes:
    """Encode a picture, RGB (H, W, 3) or RGBA (H, W, 4), uint8.

    Args:
        lossless: Whether WebP keeps every pixel as it is. PNG always does, JPEG never.

    Raises:
        PictureFormatError: If the format cannot hold the picture.
    """
    if form is FileFormat.PNG:
        return encode_png(image)
    height, width, num_channels = image.shape
    if max(height, width) > _MAX_SIDE[form]:
        raise PictureFormatError(
            f"{form} holds up to {_MAX_SIDE[form]} pixels a side, found {width} x {height}; ask for PNG."
        )
    if form is FileFormat.JPEG and num_channels == 4:
        raise PictureFormatError("JPEG holds no transparency; ask for PNG or WebP.")
    options, buffer = _LOSSLESS_WEBP if lossless and form is FileFormat.WEBP else _OPTIONS[form], io.BytesIO()
    try:
        Image.fromarray(image).save(buffer, form, **options)
    except ValueError as error:  # lossy WebP has 512 KB for how blocks are predicted: noise of 16 MP needs more
        raise PictureFormatError(f"{form} does not hold {width} x {height} such pixels; ask for PNG.") from error
    return buffer.getvalue()
