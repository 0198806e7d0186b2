"""TIFF files that Pillow reads wrongly or not at all: deep, signed and real samples, planes, odd kinds of alpha."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.errors import ImageTooLargeError, UnsupportedPixelsError
from model.images import tiff_tags
from model.images.damage import refuse_damage
from model.images.decoded import SEVERAL_FRAMES, DecodedImage, ImageArray, check_content, check_size, show_as_rgb
from model.images.orientation import turn_upright
from model.images.samples import Samples, scale_samples
from model.images.tiff_strips import BYTE_COMPRESSIONS, NO_COMPRESSION, PACK_BITS, StripLayout, read_plane
from model.images.tiff_tags import TiffTags

_FAX, _CONTIGUOUS = (2, 3, 4), 1
_OF_PILLOW = (*_FAX, 6, 7, 32_771, 32_809)  # JPEG, old and new, words, ThunderScan; its libtiff is built without WebP
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_NUM_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_BLENDED, _NOT_BLENDED = 1, (2, 999)  # kinds of alpha; the last is Corel Draw's
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # by SampleFormat; the last is undefined
_DEPTHS = {"u": (*range(1, 17), 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
_PREDICTORS = {"u": (1, 2), "i": (1, 2), "f": (1, 2, 3)}
_BIG_ENDIAN_BIG = b"MM\0+"  # which Pillow takes for another format
_REVERSED = 2  # of FillOrder
_MAX_SAMPLE_BYTES = 10  # for each pixel that an image may have; those of 16-bit RGBA have 8


@dataclass(frozen=True)
class TiffImage:
    """A TIFF file of which it is known how the samples are stored.

    Attributes:
        photometric: What the colours are.
        alpha: Which sample is the opacity.
        is_blended: If the colours were multiplied by it.
        places: Where each strip or tile begins, and its number of bytes.
    """

    tags: TiffTags
    layout: StripLayout
    photometric: int
    alpha: int | None
    is_blended: bool
    places: list[tuple[int, int]]
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        """Columns in the file."""
        return self.layout.size[0]

    @property
    def height(self) -> int:
        """Rows in the file."""
        return self.layout.size[1]

    def decode(self) -> DecodedImage:
        """Decode the first image of the file.

        Raises:
            TruncatedImageError: If the data end early or are damaged.
            BlankImageError: If all pixels have the same value.
        """
        with refuse_damage("The image data end early or are damaged; send the complete file."):
            image, notes = self._show(self._read_channels())
            image = turn_upright(image, self.tags.number(tiff_tags.ORIENTATION, 1))
        check_content(image)
        return DecodedImage(image, "TIFF", (*self.notes, *notes))

    def _read_channels(self) -> list[Samples]:
        """Read the colours, and behind them the opacity if there is one, each (H, W)."""
        wanted = [*range(_NUM_COLORS[self.photometric]), *([] if self.alpha is None else [self.alpha])]
        if self.tags.number(tiff_tags.PLANAR, _CONTIGUOUS) == _CONTIGUOUS:
            plane = read_plane(self.tags.data, self.places[: self.layout.num_blocks], self.layout)
            return [plane[:, :, index] for index in wanted]
        count = self.layout.num_blocks
        planes = [self.places[index * count : (index + 1) * count] for index in wanted]
        return [read_plane(self.tags.data, places, self.layout)[:, :, 0] for places in planes]

    def _show(self, channels: list[Samples]) -> tuple[ImageArray, tuple[str, ...]]:
        alpha, depth = None if self.alpha is None else channels.pop(), self.layout.depth
        if self.photometric == _PALETTE:
            palette = np.array(self.tags.numbers(tiff_tags.PALETTE)).reshape(3, 2**depth) >> 8
            channels, depth = [shades.astype(np.uint8)[channels[0]] for shades in palette], 8
        is_inverted = self.photometric == _WHITE_IS_ZERO
        image, notes = scale_samples(channels, depth, alpha, is_inverted=is_inverted, is_blended=self.is_blended)
        if self.photometric == _CMYK:
            inks = Image.frombuffer("CMYK", self.layout.size, image, "raw", "CMYK", 0, 1)
            image = np.asarray(inks.convert("RGB"))
        return (show_as_rgb(image) if image.ndim == 2 else image), notes


def is_simple(tags: TiffTags) -> bool:
    """True if such samples are left to Pillow."""
    compression = tags.number(tiff_tags.COMPRESSION, NO_COMPRESSION)
    says_what_zero_is = tiff_tags.PHOTOMETRIC in tags or compression in _FAX
    is_shallow = max(tags.numbers(tiff_tags.BITS, 1)) <= 8
    if tags.data.startswith(_BIG_ENDIAN_BIG) or not says_what_zero_is or not is_shallow:
        return False
    if compression not in BYTE_COMPRESSIONS:
        return compression in _OF_PILLOW
    is_blended_grey = _BLENDED in tags.numbers(tiff_tags.EXTRA, 0) and tags.number(tiff_tags.SAMPLES, 1) < 3
    is_read_here = tags.number(tiff_tags.PHOTOMETRIC) in _NUM_COLORS or compression == NO_COMPRESSION
    is_planar = tags.number(tiff_tags.PLANAR, _CONTIGUOUS) != _CONTIGUOUS and is_read_here
    return {*tags.numbers(tiff_tags.FORMAT, 1)} == {1} and not is_planar and not is_blended_grey


def open_tiff(tags: TiffTags, max_image_pixels: int) -> TiffImage:
    """Find out how the samples are stored.

    Raises:
        UnsupportedPixelsError: If such samples are not read.
        TruncatedImageError: If tags are missing or damaged.
        ImageTooLargeError: If there are more pixels than `max_image_pixels`, or 10 times as many bytes.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
    """
    with refuse_damage("The image header is damaged; send the complete file."):
        size = tags.number(tiff_tags.WIDTH), tags.number(tiff_tags.LENGTH)
        check_size(*size, max_image_pixels)
        num_samples = tags.number(tiff_tags.SAMPLES, 1)
        photometric, notes = _read_photometric(tags, num_samples)
        num_colors = _NUM_COLORS[photometric]
        if num_samples < num_colors:
            raise ValueError("colours are missing")
        missing = (_NOT_BLENDED[0],) if (photometric, num_samples) == (_RGB, 4) else (0,)  # as Pillow has it
        extra = tags.numbers(tiff_tags.EXTRA, *missing)[: num_samples - num_colors]
        alphas = [index for index, kind in enumerate(extra) if kind in (_BLENDED, *_NOT_BLENDED)]
        alpha = alphas[0] if alphas and photometric != _CMYK else None
        if num_samples > num_colors + (alpha is not None):
            notes = (*notes, "samples that are neither colours nor alpha were passed over")
        is_planar = tags.number(tiff_tags.PLANAR, _CONTIGUOUS) != _CONTIGUOUS
        layout = _read_layout(tags, size, 1 if is_planar else num_samples)
        num_planes = num_colors + (alpha is not None) if is_planar else 1
        num_bytes, max_bytes = layout.num_rows * layout.row_bytes * num_planes, _MAX_SAMPLE_BYTES * max_image_pixels
        if num_bytes > max_bytes:
            raise ImageTooLargeError(f"The samples may have at most {max_bytes:,} bytes; they have {num_bytes:,}.")
        if len(tags.places) != layout.num_blocks * (num_samples if is_planar else 1):
            raise ValueError("strips or tiles are missing, or more than the image has")
        is_blended = alpha is not None and extra[alpha] == _BLENDED
        alpha = None if alpha is None else num_colors + alpha
        if tags.has_more_images:
            notes = (*notes, SEVERAL_FRAMES)
        return TiffImage(tags, layout, photometric, alpha, is_blended, tags.places, notes)


def _read_photometric(tags: TiffTags, num_samples: int) -> tuple[int, tuple[str, ...]]:
    """Read what the colours are; where the file does not say it, assume what libtiff does."""
    if tiff_tags.PHOTOMETRIC not in tags:
        guess, words = (_RGB, "RGB") if num_samples >= 3 else (_BLACK_IS_ZERO, "grey, 0 as black")
        return guess, (f"the file does not say what its colours are; they were read as {words}",)
    photometric = tags.number(tiff_tags.PHOTOMETRIC)
    _require(photometric in _NUM_COLORS, f"PhotometricInterpretation {photometric}")
    return photometric, ()


def _read_layout(tags: TiffTags, size: tuple[int, int], num_samples: int) -> StripLayout:
    compression = tags.number(tiff_tags.COMPRESSION, NO_COMPRESSION)
    depths, kinds = {*tags.numbers(tiff_tags.BITS, 1)}, {*tags.numbers(tiff_tags.FORMAT, 1)}
    depth, kind = max(depths), _KINDS.get(max(kinds), "")
    has_predictor = compression not in (NO_COMPRESSION, PACK_BITS)
    predictor = tags.number(tiff_tags.PREDICTOR, 1) if has_predictor else 1
    _require(compression in BYTE_COMPRESSIONS, f"such samples in compression {compression}")
    _require(len(depths) == len(kinds) == 1, "samples of different kinds")
    _require(depth in _DEPTHS.get(kind, ()), f"{depth}-bit samples of format {max(kinds)}")
    _require(predictor in _PREDICTORS[kind] and (predictor == 1 or depth % 8 == 0), f"predictor {predictor}")
    is_tiled = tiff_tags.TILE_WIDTH in tags
    rows = tags.number(tiff_tags.TILE_LENGTH) if is_tiled else min(size[1], tags.number(tiff_tags.ROWS, size[1]))
    columns = tags.number(tiff_tags.TILE_WIDTH) if is_tiled else size[0]
    if not rows or not columns:
        raise ValueError("strips or tiles are empty")
    order = "<" if tags.data.startswith(b"II") else ">"
    type_ = None if depth % 8 else np.dtype(f"{order}{kind}{depth // 8}")
    is_reversed = tags.number(tiff_tags.FILL_ORDER, 1) == _REVERSED
    return StripLayout(size, (columns, rows), is_tiled, num_samples, type_, depth, compression, predictor, is_reversed)


def _require(is_read: bool, what: str) -> None:
    if not is_read:
        raise UnsupportedPixelsError(
            f"This kind of TIFF is not read: {what}. Save the image as grey or RGB of 8 or 16 bits."
        )
