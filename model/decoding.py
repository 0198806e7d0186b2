"""From bytes to an image: the one place that chooses the reader, for training, commands and service alike.

bytes -> signature -> images.raster, or dicom.image -> DecodedImage
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from model.images.decoded import DEFAULT_MAX_IMAGE_PIXELS, DecodedImage
from model.images.raster import RasterImage, open_raster
from model.images.signature import is_dicom
from model.images.tiff import TiffImage

if TYPE_CHECKING:
    from model.dicom.image import DicomImage


@dataclass(frozen=True)
class EncodedImage:
    """An image of which only the header was read.

    Attributes:
        notes: What was passed over of what the sender asked for.
    """

    source: "RasterImage | TiffImage | DicomImage"
    notes: tuple[str, ...] = ()

    @property
    def num_pixels(self) -> int:
        """Height times width."""
        return int(self.source.width * self.source.height)

    @property
    def has_luma(self) -> bool:
        """Whether it can be decoded in grey without its colours."""
        return isinstance(self.source, RasterImage) and self.source.has_luma


def open_image(data: bytes, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS, frame: int | None = None) -> EncodedImage:
    """Read the header of an encoded image; the bytes decide what it is.

    Args:
        data: A PNG, JPEG, WebP, BMP, TIFF or DICOM file.
        max_image_pixels: Height times width that may be decoded.
        frame: Which frame of a DICOM file, from 1; by default the middle one.

    Raises:
        UnsupportedFormatError: If the bytes are none of these formats.
        UnsupportedPixelsError: If they are, and the file stores its pixels in a way that is not read.
        ImageTooLargeError: If the header announces more pixels than `max_image_pixels`.
        TruncatedImageError: If the header is damaged, or the file built as no image needs to be.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
        UnknownFrameError: If the DICOM file has no such frame.
    """
    if is_dicom(data):
        return EncodedImage(_open_dicom(data, max_image_pixels, frame))
    notes = () if frame is None else ("only DICOM files have frames to choose from; the first image was used",)
    return EncodedImage(open_raster(data, max_image_pixels), notes)


def decode_opened(opened: EncodedImage, *, grey: bool = False) -> DecodedImage:
    """Decode what `open_image` opened; of several images in a file that is no DICOM the first.

    Args:
        grey: Brightness suffices; see `model.images.raster.RasterImage.decode`.

    Raises:
        TruncatedImageError: If the data end early or are damaged.
        UnsupportedFormatError: If its colours are not read.
        UnsupportedPixelsError: If the file stores its pixels in a way that is not read.
        BlankImageError: If all pixels have the same value.
    """
    source = opened.source
    decoded = source.decode(grey=grey) if isinstance(source, RasterImage) else source.decode()
    return replace(decoded, warnings=(*decoded.warnings, *opened.notes)) if opened.notes else decoded


def decode_image(
    data: bytes,
    max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
    frame: int | None = None,
    *,
    grey: bool = False,
) -> DecodedImage:
    """Read an encoded image: `open_image`, then `decode_opened`; the errors are theirs."""
    return decode_opened(open_image(data, max_image_pixels, frame), grey=grey)


def _open_dicom(data: bytes, max_image_pixels: int, frame: int | None) -> "DicomImage":
    from model.dicom.image import open_dicom  # here, because it takes time that nobody else should wait for

    return open_dicom(data, max_image_pixels, frame)
