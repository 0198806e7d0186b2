"""Raster images to upright RGB of 8 bits, read by Pillow."""

import ctypes
import io
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, _imaging

from model.errors import ImageTooLargeError, TruncatedImageError, UnsupportedFormatError
from model.images.damage import refuse_damage
from model.images.decoded import DecodedImage, ImageArray, check_content, check_size, show_as_rgb
from model.images.structure import check_structure

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MAX_PLANES = 4  # a TIFF file may hold each channel by itself
_STRIP_PIXELS = 2**20  # converted at a time, to bound the working memory
_TURNS = {  # by EXIF's orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def silence_libtiff() -> None:
    """Keep libtiff's errors off standard error, where they would stand beside the log; Pillow raises them as well.

    Pillow turns off libtiff's warnings and has no switch for its errors. The function is found through Pillow's own
    module, which is linked to libtiff; there is none on Windows or in a Pillow without libtiff.
    https://libtiff.gitlab.io/libtiff/functions/TIFFError.html
    """
    pillow = ctypes.CDLL(_imaging.__file__)
    if hasattr(pillow, "TIFFSetErrorHandler"):
        pillow.TIFFSetErrorHandler(None)


def open_raster(data: bytes, max_image_pixels: int) -> ImageFile.ImageFile:
    """Read the header of a raster image; the bytes decide its format.

    Raises:
        UnsupportedFormatError: If the bytes are none of `FORMATS`.
        ImageTooLargeError: If the header announces more pixels than `max_image_pixels`.
        TruncatedImageError: If the header is damaged, or the file has more parts than an image needs.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
    """
    check_structure(data)
    with refuse_damage("The image header is damaged; send the complete file."):
        try:
            source = Image.open(io.BytesIO(data), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLargeError(
                f"The image may have at most {max_image_pixels:,} pixels; send a smaller one."
            ) from error
        except UnidentifiedImageError as error:
            raise UnsupportedFormatError(
                f"Expected an image in one of the formats {', '.join(FORMATS)}, DICOM; the bytes are none of them."
            ) from error
    check_size(source.width, source.height, max_image_pixels)
    if _count_tile_pixels(source) > _MAX_PLANES * source.width * source.height:
        raise TruncatedImageError("The file holds pixels more than once; save the image again.")
    return source


def decode_raster(source: ImageFile.ImageFile) -> DecodedImage:
    """Decode an opened image; of several images in a file the first.

    Raises:
        TruncatedImageError: If the data end early or are damaged.
        UnsupportedFormatError: If its colour space is not read.
        BlankImageError: If all pixels have the same value.
    """
    with refuse_damage("The image data end early or are damaged; send the complete file."):
        # A JPEG file of several pictures has a format of its own in Pillow.
        format_ = "JPEG" if source.format == "MPO" else str(source.format)
        animated = bool(getattr(source, "is_animated", False))
        source.load()
        image, notes = _to_rgb(_turn_upright(source))
    if animated:
        notes = (*notes, "the file holds several frames; the first was used")
    check_content(image)
    return DecodedImage(image, format_, notes)


def _count_tile_pixels(source: ImageFile.ImageFile) -> int:
    """Count the pixels to decode: a few bytes of a TIFF file can name the same ones many times."""
    extents = [tile.extents for tile in source.tile if tile.extents is not None]
    return sum((right - left) * (bottom - top) for left, top, right, bottom in extents)


def _turn_upright(source: Image.Image) -> Image.Image:
    """Turn an image by its EXIF orientation, the only tag of EXIF that is read."""
    turn = _TURNS.get(source.getexif().get(ExifTags.Base.Orientation, 1))
    return source if turn is None else source.transpose(turn)


def _to_rgb(picture: Image.Image) -> tuple[ImageArray, tuple[str, ...]]:
    if picture.mode.startswith("I") or picture.mode == "F":
        grey, note = _to_8_bit(np.asarray(picture))
        return show_as_rgb(grey), (note,)
    if picture.mode == "LAB":
        raise UnsupportedFormatError("Expected a grey or RGB image; CIELAB colours are not read.")
    if picture.mode == "L" and not picture.has_transparency_data:
        return show_as_rgb(np.asarray(picture)), ()
    image: ImageArray = np.empty((picture.height, picture.width, 3), np.uint8)
    has_alpha, is_opaque = picture.has_transparency_data, True
    for rows in _strips(picture.height, picture.width):
        strip = picture.crop((0, rows.start, picture.width, rows.stop))
        if has_alpha:
            strip = strip.convert("RGBA")
            is_opaque = is_opaque and strip.getchannel("A").getextrema() == (255, 255)
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip)
        image[rows] = np.asarray(strip.convert("RGB"))
    return image, () if is_opaque else ("transparent pixels were laid over black",)


def _to_8_bit(values: npt.NDArray[np.generic]) -> tuple[ImageArray, str]:
    """Scale deep grey values to 8 bit without stretching their contrast where their depth is known.

    Unsigned values are divided by the full scale of the bits in use (4095 for a 12-bit scan in a 16-bit
    file), so that a 16-bit copy of an 8-bit image comes back exact. Signed and real values, which have no
    full scale, are mapped from their own range.
    """
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # the extremes of values with a NaN are NaN
        raise ValueError("pixels are not finite")
    if values.dtype.kind == "f" or low < 0:
        note = "values without a full scale were mapped from their own range to 8 bit"
    else:
        num_bits = max(8, int(high).bit_length())
        low, high = 0.0, float(2**num_bits - 1)
        note = f"{num_bits}-bit values were scaled to 8 bit"
    span = high - low
    scaled: ImageArray = np.zeros(values.shape, np.uint8)
    if span > 0:
        for rows in _strips(*values.shape):
            scaled[rows] = np.rint((values[rows].astype(np.float64) - low) * (255 / span))
    return scaled, note


def _strips(height: int, width: int) -> Iterator[slice]:
    num_rows = max(1, _STRIP_PIXELS // width)
    return (slice(top, min(top + num_rows, height)) for top in range(0, height, num_rows))
