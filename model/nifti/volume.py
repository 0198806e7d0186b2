"""NIfTI volumes as pictures of slices, turned as radiologists look at them. Needs requirements/nifti.txt.

https://nifti.nimh.nih.gov/nifti-1: a header, then the voxels of all volumes, the first index running fastest. Of a
compressed file no more is inflated than the header says the first volume has; of another one, what is shown is read.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import apply_orientation, io_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from PIL import Image

from model.errors import BlankImageError, ImageTooLargeError, ImageTooSmallError, InputError, TruncatedImageError
from model.images.decoded import MIN_SIDE_PIXELS, DecodedImage
from model.nifti.slices import SliceChoice

FORMAT = "NIfTI"
MAX_VOLUME_BYTES = 2**29  # of voxels: 512 x 512 x 512 of float32
MAX_SIDE_PIXELS = 4_096
WINDOW = "the file names no window; the 1st to 99th percentile of the volume was used"
FIRST_VOLUME = "the file holds several volumes; the first was used"

_HEADERS = {348: Nifti1Header, 540: Nifti2Header}  # by their size, which they begin with
_PERCENTILES = (1, 99)
_NUM_SAMPLED = 2**20  # voxels that the percentiles are taken of
_HEAD_LEVEL, _HEAD_FRACTION = 26, 0.1  # a head fills a tenth of its slice with more than a tenth of full brightness
_DAMAGE = (HeaderDataError, WrapStructError, OSError, EOFError, ValueError, OverflowError, ArithmeticError, zlib.error)

Voxels = npt.NDArray[Any]


@dataclass(frozen=True)
class VolumeSlice:
    """One slice.

    Attributes:
        index: Along the canonical axis, from 0: from the left, the back or the bottom.
        decoded: The picture.
        shows_head: Whether there is enough in it to be judged.
    """

    index: int
    decoded: DecodedImage
    shows_head: bool


@dataclass(frozen=True)
class _Volume:
    """Voxels along the canonical axes right, front and top, and what makes them brightness and millimetres."""

    voxels: Voxels
    slope: float
    intercept: float
    spacing: tuple[float, float, float]
    notes: tuple[str, ...]


def read_slices(path: Path, choice: SliceChoice) -> Iterator[VolumeSlice]:
    """Read slices of a `.nii` or `.nii.gz` file, one after the other.

    Raises:
        TruncatedImageError: If the file is damaged, or no volume of numbers.
        ImageTooLargeError: If it has more than `MAX_VOLUME_BYTES`.
        ImageTooSmallError: If a side of a slice has fewer than `MIN_SIDE_PIXELS` pixels.
        BlankImageError: If all voxels that were looked at are the same.
        UnknownFrameError: If it has no such slice.
        OSError: If it cannot be opened.
    """
    is_compressed = path.suffix.lower() == ".gz"
    with path.open("rb") as file:
        try:
            volume = _read_volume(gzip.GzipFile(fileobj=file) if is_compressed else file, path, is_compressed)
        except InputError:
            raise
        except _DAMAGE as error:
            raise TruncatedImageError("The NIfTI file is damaged; give the complete file.") from error
    low, high = _find_window(volume)
    for index in choice.indices(volume.voxels.shape[choice.axis]):
        yield _show_slice(volume, choice.axis, index, low, high)


def _read_volume(file: Any, path: Path, is_compressed: bool) -> _Volume:
    header = _read_header(file)
    shape = tuple(int(side) for side in header.get_data_shape())
    dtype = header.get_data_dtype()
    if len(shape) < 3 or min(shape) < 1 or dtype.kind not in "iuf":
        raise TruncatedImageError("Expected a volume of numbers with three axes; the NIfTI header says something else.")
    num_bytes, offset = int(np.prod(shape[:3], dtype=object)) * dtype.itemsize, int(header.get_data_offset())
    if num_bytes > MAX_VOLUME_BYTES or max(shape[:3]) > MAX_SIDE_PIXELS:
        raise ImageTooLargeError(f"A volume may have at most {MAX_VOLUME_BYTES:,} bytes of voxels.")
    if not 0 <= offset <= MAX_VOLUME_BYTES:
        raise TruncatedImageError("The NIfTI header is damaged; give the complete file.")
    if is_compressed:
        file.seek(offset)
        voxels: Voxels = np.frombuffer(file.read(num_bytes), dtype).reshape(shape[:3], order="F")
    else:
        voxels = np.memmap(path, dtype, "r", offset, shape[:3], order="F")
    slope, intercept = header.get_slope_inter()
    orientation = io_orientation(header.get_best_affine())
    turned = apply_orientation(voxels, orientation)
    spacing = np.asarray(header.get_zooms()[:3], np.float64)[np.argsort(orientation[:, 0])]
    notes = (WINDOW, *((FIRST_VOLUME,) if max(shape[3:], default=1) > 1 else ()))
    return _Volume(turned, 1.0 if slope is None else slope, intercept or 0.0, tuple(spacing), notes)


def _read_header(file: BinaryIO) -> Any:
    start = file.read(540)
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size in _HEADERS:
            return _HEADERS[size].from_fileobj(io.BytesIO(start[:size]))
    raise TruncatedImageError("Expected a NIfTI file; the bytes are none.")


def _find_window(volume: _Volume) -> tuple[float, float]:
    """Find what is black and what is white, for all slices alike."""
    steps = [slice(None, None, max(1, round((volume.voxels.size / _NUM_SAMPLED) ** (1 / 3))))] * 3
    values = _scale(volume, volume.voxels[tuple(steps)])
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        raise BlankImageError("All voxels have the same value: there is nothing to judge.")
    low, high = np.percentile(values, _PERCENTILES)
    return (float(low), float(high)) if low < high else (float(values.min()), float(values.max()))


def _scale(volume: _Volume, voxels: Voxels) -> npt.NDArray[np.float64]:
    return np.asarray(voxels, np.float64) * volume.slope + volume.intercept


def _show_slice(volume: _Volume, axis: int, index: int, low: float, high: float) -> VolumeSlice:
    """Draw a slice with the patient's right on the left, front or top first, and square pixels."""
    values = _scale(volume, np.take(volume.voxels, index, axis))[::-1, ::-1].T
    grey = np.rint(np.clip(np.nan_to_num((values - low) / (high - low)), 0, 1) * 255).astype(np.uint8)
    across, down = (spacing for place, spacing in enumerate(volume.spacing) if place != axis)
    picture = Image.fromarray(grey).resize(_square_size(grey.shape, down, across), Image.Resampling.BILINEAR)
    image = np.repeat(np.asarray(picture)[:, :, None], 3, axis=2)
    decoded = DecodedImage(image, FORMAT, volume.notes, frame=index, num_frames=volume.voxels.shape[axis])
    return VolumeSlice(index, decoded, bool((grey > _HEAD_LEVEL).mean() >= _HEAD_FRACTION))


def _square_size(shape: tuple[int, ...], down: float, across: float) -> tuple[int, int]:
    """Find the width and height at which pixels are as wide as the finer side of the voxels."""
    if not (0 < down < np.inf and 0 < across < np.inf):
        down = across = 1.0
    finest = min(down, across)
    height, width = round(shape[0] * down / finest), round(shape[1] * across / finest)
    if min(height, width) < MIN_SIDE_PIXELS:
        raise ImageTooSmallError(
            f"Each side needs at least {MIN_SIDE_PIXELS} pixels; the slice has {width} x {height}."
        )
    if max(height, width) > MAX_SIDE_PIXELS:
        raise ImageTooLargeError(f"A side of a slice may have at most {MAX_SIDE_PIXELS:,} pixels of its finer spacing.")
    return width, height
