"""Raster images to upright RGB of 8 bits, most of them read by Pillow."""

import contextlib
import ctypes
import functools
import io
import logging
import re
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, _imaging

from model.errors import (
    ImageTooLargeError,
    InputError,
    TruncatedImageError,
    UnsupportedFormatError,
    UnsupportedPixelsError,
)
from model.images.damage import DAMAGE, refuse_damage
from model.images.decoded import SEVERAL_FRAMES, DecodedImage, ImageArray, check_content, check_size, show_as_rgb
from model.images.jpeg import check_frame, load_jpeg
from model.images.orientation import turn_upright
from model.images.png import is_deep_png, load_png, read_deep_png
from model.images.samples import BLENDED, scale_samples, strips
from model.images.structure import check_structure
from model.images.tiff import TiffImage, is_simple, open_tiff
from model.images.tiff_gaps import find_gaps
from model.images.tiff_tags import TiffTags, is_tiff, read_tags

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_STARTS = re.compile(rb"\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP|BM", re.DOTALL)
_DAMAGED_HEADER = "The image header is damaged; send the complete file."
_JPEG_FORMATS = ("JPEG", "MPO")  # a file of several pictures has a format of its own in Pillow
_MAX_PLANES = 4  # a TIFF file may hold each channel by itself


@dataclass(frozen=True)
class RasterImage:
    """An image of which Pillow read the header."""

    picture: ImageFile.ImageFile
    data: bytes
    tags: TiffTags | None

    @property
    def width(self) -> int:
        """Columns in the file."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Rows in the file."""
        return self.picture.height

    @property
    def has_luma(self) -> bool:
        """Whether the file stores brightness by itself, beside the colours: JPEG, ITU-T T.871."""
        return self.picture.mode == "RGB" and self.picture.format in _JPEG_FORMATS

    def decode(self, *, grey: bool = False) -> DecodedImage:
        """Decode the image; of several in a file the first.

        Args:
            grey: Brightness suffices: colours that are stored beside it are left out, in half the time.

        Raises:
            TruncatedImageError: If the data end early or are damaged.
            UnsupportedFormatError: If its colour space is not read.
            BlankImageError: If all pixels have the same value.
        """
        with refuse_damage("The image data end early or are damaged; send the complete file."):
            format_ = "JPEG" if self.picture.format in _JPEG_FORMATS else str(self.picture.format)
            if grey and self.has_luma:
                self.picture.draft("L", None)
            animated = bool(getattr(self.picture, "is_animated", False))
            if is_deep_png(self.picture):
                image, notes = _show_deep_png(self.picture, self.data)
            else:
                _load(self.picture, self.data, format_)
                image, notes = _to_rgb(self.picture)
                notes = (*notes, *(find_gaps(self.tags) if self.tags else ()))
            image = turn_upright(image, _read_orientation(self.picture))
        if animated:
            notes = (*notes, SEVERAL_FRAMES)
        check_content(image)
        return DecodedImage(image, format_, notes)


@functools.cache
def silence_pillow() -> None:
    """Keep what Pillow and its libtiff write about a file out of the log and off standard error: both raise it as well.

    Pillow turns off libtiff's warnings and has no switch for its errors. The function is found through Pillow's own
    module, which is linked to libtiff; there is none on Windows or in a Pillow without libtiff.
    https://libtiff.gitlab.io/libtiff/functions/TIFFError.html
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)
    pillow = ctypes.CDLL(_imaging.__file__)
    if hasattr(pillow, "TIFFSetErrorHandler"):
        pillow.TIFFSetErrorHandler(None)


def open_raster(data: bytes, max_image_pixels: int) -> RasterImage | TiffImage:
    """Read the header of a raster image; the bytes decide its format.

    Raises:
        UnsupportedFormatError: If the bytes are none of `FORMATS`.
        UnsupportedPixelsError: If such pixels are not read.
        ImageTooLargeError: If the header announces more pixels than `max_image_pixels`.
        TruncatedImageError: If the header is damaged, or the file has more parts than an image needs.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
    """
    silence_pillow()
    check_structure(data)
    check_frame(data)
    with refuse_damage(_DAMAGED_HEADER):
        tags = read_tags(data) if is_tiff(data) else None
        if tags and not is_simple(tags):
            return open_tiff(tags, max_image_pixels)
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLargeError(
                f"The image may have at most {max_image_pixels:,} pixels; send a smaller one."
            ) from error
        except UnidentifiedImageError as error:
            if tags:
                return open_tiff(tags, max_image_pixels)
            raise _choose_error(data) from error
        except OSError as error:
            if str(error).startswith("Unsupported BMP"):
                raise UnsupportedPixelsError(
                    "BMP files with such a header, depth, compression or bit masks are not read; save the image as PNG."
                ) from error
            raise
    check_size(picture.width, picture.height, max_image_pixels)
    if _count_tile_pixels(picture) > _MAX_PLANES * picture.width * picture.height:
        raise TruncatedImageError("The file holds pixels more than once; save the image again.")
    return RasterImage(picture, data, tags)


def _choose_error(data: bytes) -> InputError:
    """Choose the error for bytes that Pillow does not recognise."""
    if _STARTS.match(data):
        return TruncatedImageError(_DAMAGED_HEADER)
    return UnsupportedFormatError(
        f"Expected an image in one of the formats {', '.join(FORMATS)}, DICOM; the bytes are none of them."
    )


def _count_tile_pixels(source: ImageFile.ImageFile) -> int:
    """Count the pixels to decode: a few bytes of a TIFF file can name the same ones many times."""
    extents = [tile.extents for tile in source.tile if tile.extents is not None]
    return sum((right - left) * (bottom - top) for left, top, right, bottom in extents)


def _load(picture: ImageFile.ImageFile, data: bytes, format_: str) -> None:
    if format_ == "JPEG":
        load_jpeg(picture, data)
    elif format_ == "PNG":
        load_png(picture, data)
    else:
        if format_ == "TIFF":
            exif = picture.getexif()
            for directory in ExifTags.IFD:  # Pillow reads them, and refuses the image for what is wrong in them
                if directory in exif:
                    del exif[directory]
        picture.load()


def _show_deep_png(picture: ImageFile.ImageFile, data: bytes) -> tuple[ImageArray, tuple[str, ...]]:
    colors, alpha = read_deep_png(picture, data)
    image, notes = scale_samples(colors, 16, alpha)
    return (show_as_rgb(image) if image.ndim == 2 else image), notes


def _read_orientation(picture: Image.Image) -> object:
    """Read EXIF's orientation, the only tag of EXIF that is used; None where EXIF cannot be read."""
    with contextlib.suppress(*DAMAGE):
        return picture.getexif().get(ExifTags.Base.Orientation)
    return None


def _to_rgb(picture: Image.Image) -> tuple[ImageArray, tuple[str, ...]]:
    if picture.mode == "LAB":
        raise UnsupportedFormatError("Expected a grey or RGB image; CIELAB colours are not read.")
    if picture.mode == "L" and not picture.has_transparency_data:
        return show_as_rgb(np.asarray(picture)), ()
    image: ImageArray = np.empty((picture.height, picture.width, 3), np.uint8)
    has_alpha, is_opaque, notes = picture.has_transparency_data, True, []
    if has_alpha and picture.format == "BMP" and picture.getchannel("A").getbbox() is None:
        has_alpha, notes = False, ["an alpha channel without a value was passed over"]
    for rows in strips(picture.height, picture.width):
        strip = picture.crop((0, rows.start, picture.width, rows.stop))
        if has_alpha:
            strip = strip.convert("RGBA")
            is_opaque = is_opaque and strip.getchannel("A").getextrema() == (255, 255)
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip)
        image[rows] = np.asarray(strip.convert("RGB"))
    return image, (*notes, *([] if is_opaque else [BLENDED]))
