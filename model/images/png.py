"""PNG files: all of their rows, and all bits of 16-bit samples."""

import io

import numpy as np
from PIL import Image, ImageFile

from model.images.samples import Samples, copy_pixels

_GREY_ALPHA, _HIGH_BYTES, _LOW_BYTES = "LA;16B", ";16B", ";16L"


def load_png(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Decode an opened PNG file, and refuse one whose data end before its rows do.

    Pillow says nothing if the compressed data have their end. So the pixels hold a value before, and if the last row
    still does, once more another one, to be sure.

    Raises:
        OSError: If data are missing or damaged.
    """
    last = picture.height - 1 - (picture.height % 2 if picture.info.get("interlace") else 0)
    for value in (1, 0):
        source = picture if value else _reopen(data)
        source.im = Image.new(source.mode, source.size, value).im
        source.load()
        row = source.crop((0, last, source.width, last + 1))
        if row.tobytes() != Image.new(source.mode, row.size, value).tobytes():
            return
    raise OSError("rows are missing")


def is_deep_png(picture: ImageFile.ImageFile) -> bool:
    """True if an opened file has 16-bit samples."""
    return picture.format == "PNG" and bool(picture.tile) and str(picture.tile[0].args).endswith(_HIGH_BYTES)


def read_deep_png(picture: ImageFile.ImageFile, data: bytes) -> tuple[list[Samples], Samples | None]:
    """Decode a file of 16-bit samples: the colours, and the opacity if there is one, each (H, W).

    Pillow reads one byte of a sample, so the file is read twice.

    Raises:
        OSError: If data are missing or damaged.
    """
    tile, key = picture.tile[0], picture.info.get("transparency")
    if picture.mode.startswith("I"):
        load_png(picture, data)
        values = np.asarray(picture)[:, :, None]
    elif tile.args == _GREY_ALPHA:
        picture.tile = [tile._replace(args="RGBA")]  # four bytes a pixel, as they are
        load_png(picture, data)
        values = np.asarray(picture).view(">u2")
    else:
        low = _reopen(data)
        low.tile = [tile._replace(args=str(tile.args).replace(_HIGH_BYTES, _LOW_BYTES))]
        pairs = np.empty((picture.height, picture.width, len(picture.mode), 2), np.uint8)
        load_png(picture, data)
        copy_pixels(picture, pairs[..., 0])
        copy_pixels(low, pairs[..., 1])
        values = pairs.view(">u2")[..., 0]
    num_colors = 3 if picture.mode.startswith("RGB") and tile.args != _GREY_ALPHA else 1
    channels = [values[:, :, index] for index in range(values.shape[2])]
    if key is not None:  # a colour that is transparent
        return channels, np.where((values == key).all(axis=2), 0, 2**16 - 1).astype(np.uint16)
    return channels[:num_colors], channels[num_colors] if len(channels) > num_colors else None


def _reopen(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data), formats=("PNG",))
