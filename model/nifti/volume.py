"""NIfTI volumes to images of slices, in radiological orientation. Needs requirements/nifti.txt.

https://nifti.nimh.nih.gov/nifti-1: a header, then the voxels of all volumes, the first index running fastest. Of a
compressed file only the first volume is inflated, by the size in its header; another is mapped and read slice by slice.
"""

import gzip
import io
from collections.abc import Iterator
from contextlib import suppress
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

from model.errors import BlankImageError, ImageTooLargeError, TruncatedImageError
from model.images.damage import refuse_damage
from model.images.decoded import DecodedImage, check_size, show_as_rgb
from model.nifti.slices import SliceChoice

FORMAT = "NIfTI"
_DAMAGED = "The NIfTI file is damaged; pass the complete file."
MAX_VOLUME_BYTES = 2**29  # of voxels: 512 x 512 x 512 of float32
MAX_SIDE_PIXELS = 4_096
WINDOW = "the file names no window; the 1st to 99th percentile of the volume was used"
NO_ORIENTATION = "the file names no usable orientation; its axes were taken to be in the usual order"
FIRST_VOLUME = "the file holds several volumes; the first was used"

_UNKNOWN_ORIENTATION = ((0, -1), (1, 1), (2, 1))  # towards the left, front and top, as in ANALYZE
_GZIP = b"\x1f\x8b"
_HEADERS = {348: Nifti1Header, 540: Nifti2Header}  # by their size, the first field
_PERCENTILES = (1, 99)
_NUM_SAMPLED = 2**20  # voxels, about, for the percentiles
_HEAD_LEVEL, _HEAD_FRACTION = 26, 0.1  # a head fills a tenth of its slice with more than a tenth of full brightness

Voxels = npt.NDArray[Any]


@dataclass(frozen=True)
class VolumeSlice:
    """One slice.

    Attributes:
        index: Along the canonical axis, from 0: from the left, the back or the bottom.
        shows_head: True if there is enough in it to classify.
    """

    index: int
    decoded: DecodedImage
    shows_head: bool


@dataclass(frozen=True)
class _Volume:
    """Voxels along the canonical axes right, front and top, and their scales to brightness and millimetres."""

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
        BlankImageError: If all sampled voxels have the same value.
        UnknownFrameError: If it has no such slice.
        OSError: If it cannot be opened.
    """
    damaged = refuse_damage(_DAMAGED, HeaderDataError, WrapStructError)
    with path.open("rb") as file, damaged:
        is_compressed = file.read(len(_GZIP)) == _GZIP  # whatever its name says
        file.seek(0)
        volume = _read_volume(gzip.GzipFile(fileobj=file) if is_compressed else file, path, is_compressed)
    low, high = _find_window(volume)
    for index in choice.indices(volume.voxels.shape[choice.axis]):
        yield _show_slice(volume, choice.axis, index, low, high)


def _read_volume(file: Any, path: Path, is_compressed: bool) -> _Volume:
    header = _read_header(file)
    shape = tuple(int(side) for side in header.get_data_shape())
    dtype = header.get_data_dtype()
    if len(shape) < 3 or min(shape) < 1 or dtype.kind not in "iuf":
        raise TruncatedImageError("Expected a volume of numbers with three axes; the NIfTI header describes another.")
    num_bytes, offset = int(np.prod(shape[:3], dtype=object)) * dtype.itemsize, int(header.get_data_offset())
    if num_bytes > MAX_VOLUME_BYTES or max(shape[:3]) > MAX_SIDE_PIXELS:
        raise ImageTooLargeError(f"A volume may have at most {MAX_VOLUME_BYTES:,} bytes of voxels.")
    if not 0 <= offset <= MAX_VOLUME_BYTES:
        raise TruncatedImageError(_DAMAGED)
    if is_compressed:
        file.seek(offset)
        voxels: Voxels = np.frombuffer(file.read(num_bytes), dtype).reshape(shape[:3], order="F")
    else:
        voxels = np.memmap(path, dtype, "r", offset, shape[:3], order="F")
    slope, intercept = header.get_slope_inter()
    orientation, notes = _find_orientation(header)
    turned = apply_orientation(voxels, orientation)
    spacing = np.asarray(header.get_zooms()[:3], np.float64)[np.argsort(orientation[:, 0])]
    notes = (WINDOW, *notes, *((FIRST_VOLUME,) if max(shape[3:], default=1) > 1 else ()))
    return _Volume(turned, 1.0 if slope is None else slope, intercept or 0.0, tuple(spacing), notes)


def _find_orientation(header: Any) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Find the directions of the axes: of the sform, else of the qform, else those of ANALYZE."""
    for code, read in (("sform_code", header.get_sform), ("qform_code", header.get_qform)):
        with suppress(HeaderDataError, ArithmeticError, ValueError):
            affine = read()
            if header[code] > 0 and np.isfinite(affine).all() and np.linalg.matrix_rank(affine) == len(affine):
                return io_orientation(affine), ()
    return np.array(_UNKNOWN_ORIENTATION, np.float64), (NO_ORIENTATION,)


def _read_header(file: BinaryIO) -> Any:
    start = file.read(540)
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size in _HEADERS:
            return _HEADERS[size].from_fileobj(io.BytesIO(start[:size]))
    raise TruncatedImageError("Expected a NIfTI file; found other bytes.")


def _find_window(volume: _Volume) -> tuple[float, float]:
    """Find the values of black and white, common to all slices."""
    steps = [slice(None, None, max(1, round((volume.voxels.size / _NUM_SAMPLED) ** (1 / 3))))] * 3
    values = _scale(volume, volume.voxels[tuple(steps)])
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        raise BlankImageError("All voxels have the same value: there is nothing to classify.")
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
    image = show_as_rgb(np.asarray(picture))
    decoded = DecodedImage(image, FORMAT, volume.notes, frame=index, num_frames=volume.voxels.shape[axis])
    return VolumeSlice(index, decoded, bool((grey > _HEAD_LEVEL).mean() >= _HEAD_FRACTION))


def _square_size(shape: tuple[int, ...], down: float, across: float) -> tuple[int, int]:
    """Find the width and height with square pixels as wide as the finer side of the voxels."""
    if not (0 < down < np.inf and 0 < across < np.inf):
        down = across = 1.0
    finest = min(down, across)
    height, width = round(shape[0] * down / finest), round(shape[1] * across / finest)
    check_size(width, height, MAX_SIDE_PIXELS**2)
    if max(height, width) > MAX_SIDE_PIXELS:
        raise ImageTooLargeError(f"A side of a slice may have at most {MAX_SIDE_PIXELS:,} pixels of its finer spacing.")
    return width, height
