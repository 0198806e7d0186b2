"""From bytes to the network's inputs; the only place where this is done, for training and serving alike."""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from model.card import Preprocessing
from model.dicom_structure import is_dicom
from model.errors import (
    BlankImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from model.structure import check_structure

if TYPE_CHECKING:
    from model.dicom import DicomImage

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MIN_SIDE_PIXELS = 32  # a brain in fewer has no structure left to judge
DEFAULT_MAX_IMAGE_PIXELS = 4096 * 4096  # 50 MB as RGB; the largest MR matrices have 1024 x 1024
_MAX_PLANES = 4  # a TIFF file may hold each channel on its own
_STRIP_PIXELS = 2**20  # converted at once, so that the working memory stays small
_TURNS = {  # by EXIF's orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow and its codecs raise on damaged data, as read in its source and found by fuzzing.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AssertionError,  # such as: no palette where the mode needs one
    AttributeError,  # the same, where Python runs without assertions
    OverflowError,
    struct.error,
    zlib.error,
    Warning,  # where warnings are errors
)


@dataclass(frozen=True)
class DecodedImage:
    """An image and what was learnt on the way to it.

    Attributes:
        image: RGB, (H, W, 3) uint8, upright; of a grey one the three channels may share their memory, read-only.
        format: One of `FORMATS`, or "DICOM".
        warnings: What was done to the pixels that the sender may not expect, in words.
        frame: Which frame of a DICOM file, from 1; None for other formats.
        num_frames: How many frames the DICOM file has.
    """

    image: ImageArray
    format: str
    warnings: tuple[str, ...]
    frame: int | None = None
    num_frames: int | None = None

    @property
    def height(self) -> int:
        """Rows of the upright image."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright image."""
        return int(self.image.shape[1])


@dataclass(frozen=True)
class EncodedImage:
    """An image of which only the header was read.

    Attributes:
        notes: What was passed over of what the sender asked for.
    """

    source: "ImageFile.ImageFile | DicomImage"
    notes: tuple[str, ...] = ()

    @property
    def num_pixels(self) -> int:
        """Height times width."""
        return int(self.source.width * self.source.height)


def open_image(data: bytes, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS, frame: int | None = None) -> EncodedImage:
    """Read the header of an encoded image; the bytes decide what it is.

    Args:
        data: A PNG, JPEG, WebP, BMP, TIFF or DICOM file.
        max_image_pixels: Height times width that may be decoded.
        frame: Which frame of a DICOM file, from 1; by default the middle one.

    Raises:
        UnsupportedFormatError: If the bytes are none of these formats.
        ImageTooLargeError: If the header announces more pixels than `max_image_pixels`.
        TruncatedImageError: If the header is damaged, or the file built as no image needs to be.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
        UnknownFrameError: If the DICOM file has no such frame.
    """
    if is_dicom(data):
        return EncodedImage(_open_dicom(data, max_image_pixels, frame))
    notes = () if frame is None else ("only DICOM files have frames to choose from; the first image was used",)
    return EncodedImage(_open_picture(data, max_image_pixels), notes)


def decode_opened(opened: EncodedImage) -> DecodedImage:
    """Decode what `open_image` opened; of several images in a file that is no DICOM the first.

    Raises:
        TruncatedImageError: If the data end early or are damaged.
        UnsupportedFormatError: If its colours are not read.
        UnsupportedPixelsError: If a DICOM file stores its pixels in a way that is not read.
        BlankImageError: If all pixels have the same value.
    """
    source = opened.source
    decoded = _decode_picture(source) if isinstance(source, ImageFile.ImageFile) else source.decode()
    return replace(decoded, warnings=(*decoded.warnings, *opened.notes)) if opened.notes else decoded


def decode_image(
    data: bytes, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS, frame: int | None = None
) -> DecodedImage:
    """Read an encoded image: `open_image`, then `decode_opened`; the errors are theirs."""
    return decode_opened(open_image(data, max_image_pixels, frame))


def resize_image(image: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """Bring an image to the network's size and colours.

    Args:
        image: RGB, (H, W, 3) uint8.

    Returns:
        (S, S, 3) uint8 with S the `input_size`; with `color` "grey" the three channels are equal.
    """
    pixels = _resize(image, preprocessing)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


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
    pixels = _resize(image, preprocessing)
    return normalize_image(_show_as_rgb(pixels) if pixels.ndim == 2 else pixels, preprocessing)[None]


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


def _resize(image: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """Resize to (S, S, 3), or to (S, S) with `color` "grey"."""
    grey = preprocessing.color == "grey"
    if grey and _is_shown_as_rgb(image):
        picture = Image.fromarray(image[:, :, 0])  # luma of a grey pixel is the pixel, to the bit
    else:
        picture = Image.fromarray(image).convert("L") if grey else Image.fromarray(image)
    size = preprocessing.input_size
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def _show_as_rgb(grey: ImageArray) -> ImageArray:
    """Show (H, W) as (H, W, 3), read-only and without a copy: three channels in the same memory."""
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def _is_shown_as_rgb(image: ImageArray) -> bool:
    return image.strides[2] == 0


def _open_dicom(data: bytes, max_image_pixels: int, frame: int | None) -> "DicomImage":
    from model.dicom import open_dicom  # here, because it takes time that nobody else should wait for

    return open_dicom(data, max_image_pixels, frame)


def _open_picture(data: bytes, max_image_pixels: int) -> ImageFile.ImageFile:
    check_structure(data)
    too_large = f"The image may have at most {max_image_pixels:,} pixels; send a smaller one."
    try:
        source = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(too_large) from error
    except UnidentifiedImageError as error:
        raise UnsupportedFormatError(
            f"Expected an image in one of the formats {', '.join(FORMATS)}, DICOM; the bytes are none of them."
        ) from error
    except _DAMAGE as error:
        raise TruncatedImageError("The image header is damaged; send the complete file.") from error
    width, height = source.size
    if width * height > max_image_pixels:
        raise ImageTooLargeError(f"{too_large[:-1]} (found {width:,} x {height:,}).")
    if min(width, height) < MIN_SIDE_PIXELS:
        raise ImageTooSmallError(
            f"Each side needs at least {MIN_SIDE_PIXELS} pixels; the image has {width} x {height}."
        )
    if _count_tile_pixels(source) > _MAX_PLANES * width * height:
        raise TruncatedImageError("The file holds pixels more than once; save the image anew.")
    return source


def _decode_picture(source: ImageFile.ImageFile) -> DecodedImage:
    try:
        # A JPEG file of several pictures has a format of its own in Pillow.
        format_ = "JPEG" if source.format == "MPO" else str(source.format)
        animated = bool(getattr(source, "is_animated", False))
        source.load()
        image, notes = _to_rgb(_turn_upright(source))
    except _DAMAGE as error:
        raise TruncatedImageError("The image data end early or are damaged; send the complete file.") from error
    if animated:
        notes = (*notes, "the file holds several frames; the first was used")
    _check_content(image)
    return DecodedImage(image, format_, notes)


def _count_tile_pixels(source: ImageFile.ImageFile) -> int:
    """Sum up what is to be decoded: a few bytes of a TIFF file can name the same pixels again and again."""
    extents = [tile.extents for tile in source.tile if tile.extents is not None]
    return sum((right - left) * (bottom - top) for left, top, right, bottom in extents)


def _turn_upright(source: Image.Image) -> Image.Image:
    """Turn an image as its EXIF data say; only that tag is read of them."""
    turn = _TURNS.get(source.getexif().get(ExifTags.Base.Orientation, 1))
    return source if turn is None else source.transpose(turn)


def _to_rgb(picture: Image.Image) -> tuple[ImageArray, tuple[str, ...]]:
    if picture.mode.startswith("I") or picture.mode == "F":
        grey, note = _to_8_bit(np.asarray(picture))
        return _show_as_rgb(grey), (note,)
    if picture.mode == "LAB":
        raise UnsupportedFormatError("Expected a grey or RGB image; CIELAB colours are not read.")
    if picture.mode == "L" and not picture.has_transparency_data:
        return _show_as_rgb(np.asarray(picture)), ()
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


def _check_content(image: ImageArray) -> None:
    pixels = image[:, :, 0] if _is_shown_as_rgb(image) else image
    if int(pixels.min()) == int(pixels.max()):
        raise BlankImageError("All pixels have the same value: there is nothing to judge.")
