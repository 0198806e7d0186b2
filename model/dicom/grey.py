"""Stored values to the grey of a radiologist's monitor: PS3.3 C.11 and PS3.14, in their order.

    stored values -> modality LUT or rescale -> VOI LUT or window -> presentation LUT or MONOCHROME1 -> 8 bit

A value becomes the same grey at every pixel, so all steps are applied to a table of the at most 65,536 possible values,
and the image is looked up in it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from model.dicom.lookup_table import Values, look_up, read_table
from model.dicom.pixel_layout import PixelLayout
from model.dicom.reading import DAMAGED_HEADER, refuse_dicom_damage
from model.errors import TruncatedImageError

TAIL = 0.01  # of the pixels on either side of the window where the file names none
NO_WINDOW = "the file names no window; the 1st to 99th percentile was used"
UNUSABLE_WINDOW = "the window of the file is not usable; the 1st to 99th percentile was used"
UNUSABLE_TABLE = "the VOI LUT of the file is not usable and was passed over"
UNUSABLE_RESCALE = "the rescale values or modality LUT of the file are not usable; its stored values were shown"
UNUSABLE_PADDING = "the padding value of the file is not usable and was passed over"

Counts = npt.NDArray[Any]
Grey = npt.NDArray[np.uint8]
Array = TypeVar("Array", bound=npt.NDArray[Any])


def render_grey(stored: npt.NDArray[Any], frame: Dataset, layout: PixelLayout) -> tuple[Grey, tuple[str, ...]]:
    """Turn the stored values of a frame into 8-bit grey; an attribute that is not usable is passed over.

    Args:
        stored: (H, W), integers of at most 16 bits.
        frame: Its attributes; see `model.dicom.image.describe_frame`.

    Returns:
        (H, W) uint8, and changes that the sender may not expect.
    """
    low = -(1 << (layout.bits_stored - 1)) if layout.is_signed else 0
    places = stored.astype(np.int32) - low
    possible = np.arange(1 << layout.bits_stored, dtype=np.float64) + low
    counts = np.bincount(places.ravel(), minlength=len(possible))
    is_padding = _attempt(_find_padding, possible, frame)
    notes = () if is_padding is not None and counts[~is_padding].any() else (UNUSABLE_PADDING,)
    is_padding = np.zeros(len(possible), np.bool_) if notes or is_padding is None else is_padding
    counts = counts * ~is_padding
    shown, more = _show(possible, counts, frame)
    if _is_inverted(frame, layout):
        shown = 1 - shown
    table = np.rint(np.where(is_padding, 0.0, shown) * 255).astype(np.uint8)
    return table[places], (*notes, *more)


def _show(possible: Values, counts: Counts, frame: Dataset) -> tuple[Values, tuple[str, ...]]:
    values = _attempt(apply_modality, possible, frame)
    if values is not None and np.isfinite(values).all() and not _hides_all(values, counts):
        return apply_voi(values, counts, frame)
    shown, _ = apply_voi(possible, counts, Dataset())  # a window is one of rescaled values
    return shown, (UNUSABLE_RESCALE,)


def apply_modality(stored: Values, frame: Dataset) -> Values:
    """Apply the modality LUT, or slope and intercept: PS3.3 C.11.1."""
    sequence = frame.get("ModalityLUTSequence")
    if sequence:
        entries, first, _ = read_table(sequence[0], stored.min() < 0)
        return look_up(stored, entries, first)
    slope, intercept = _number(frame, "RescaleSlope"), _number(frame, "RescaleIntercept")
    return stored * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def apply_voi(values: Values, counts: Counts, frame: Dataset) -> tuple[Values, tuple[str, ...]]:
    """Map the range of values to show to [0, 1]: PS3.3 C.11.2.

    The first of several LUTs or windows is used, and a LUT rather than a window.

    Args:
        counts: Number of pixels of each value, for the window where the file names none.
    """
    notes: tuple[str, ...] = ()
    if frame.get("VOILUTSequence"):
        shown = _attempt(_apply_voi_table, values, frame)
        if shown is not None and not _hides_all(np.rint(shown * 255), counts):
            return shown, ()
        notes = (UNUSABLE_TABLE,)
    if all(frame.get(keyword) not in (None, "") for keyword in ("WindowCenter", "WindowWidth")):
        shown = _attempt(_apply_named_window, values, frame)
        if shown is not None and not _hides_all(np.rint(shown * 255), counts):
            return shown, notes
        notes = (*notes, UNUSABLE_WINDOW)
    low, high = find_percentiles(values, counts)
    shown = np.clip((values - low) / max(high - low, np.finfo(np.float64).tiny), 0, 1)
    return shown, notes or (NO_WINDOW,)


def _attempt(apply: Callable[[Values, Dataset], Array], values: Values, frame: Dataset) -> Array | None:
    """Apply attributes of a frame; None if they are not usable."""
    try:
        with refuse_dicom_damage(DAMAGED_HEADER):
            return apply(values, frame)
    except TruncatedImageError:
        return None


def _hides_all(shown: Values, counts: Counts) -> bool:
    """True if several values that pixels have become one."""
    present = shown[counts > 0]
    return len(present) > 1 and bool((present == present[0]).all())


def _apply_voi_table(values: Values, frame: Dataset) -> Values:
    entries, first, num_bits = read_table(frame.VOILUTSequence[0], values.min() < 0)
    return np.clip(look_up(values, entries, first) / ((1 << num_bits) - 1), 0, 1)


def _apply_named_window(values: Values, frame: Dataset) -> Values:
    center, width = _number(frame, "WindowCenter"), _number(frame, "WindowWidth")
    if center is None or width is None:
        raise TruncatedImageError(DAMAGED_HEADER)
    return apply_window(values, center, width, _read_text(frame, "VOILUTFunction") or "LINEAR")


def apply_window(values: Values, center: float, width: float, function: str) -> Values:
    """Map a window to [0, 1]: PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    Raises:
        TruncatedImageError: If the width is too small for the function, or the function is unknown.
    """
    least = 1.0 if function == "LINEAR" else np.finfo(np.float32).tiny
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not (width >= least and abs(center) < np.inf):
        raise TruncatedImageError("The DICOM header names a window that the standard does not allow.")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def find_percentiles(values: Values, counts: npt.NDArray[Any]) -> tuple[float, float]:
    """Find the values below and above which `TAIL` of the pixels lie."""
    order = np.argsort(values, kind="stable")
    num_tail = counts.sum() * TAIL
    from_below, from_above = np.cumsum(counts[order]), np.cumsum(counts[order[::-1]])
    low = values[order[np.searchsorted(from_below, num_tail)]]
    high = values[order[::-1][np.searchsorted(from_above, num_tail)]]
    if low == high:  # hardly any pixels: their whole range
        present = values[counts > 0]
        low, high = present.min(), present.max()
    return float(low), float(high)


def _is_inverted(frame: Dataset, layout: PixelLayout) -> bool:
    """True if low values are bright; the two attributes for it do not cancel out, PS3.3 C.11.6.1.2."""
    return layout.photometric == "MONOCHROME1" or _read_text(frame, "PresentationLUTShape") == "INVERSE"


def _find_padding(possible: Values, frame: Dataset) -> npt.NDArray[np.bool_]:
    """Find the values of pixels that were not measured: PS3.3 C.7.5.1.1.2."""
    ends = [_number(frame, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    first, last = ends[0], ends[0] if ends[1] is None else ends[1]
    if first is None or last is None:
        return np.zeros(len(possible), np.bool_)
    # Some writers give the value of unsigned pixels for signed ones, or all 16 bits: stored are the lower ones.
    low, high = sorted((int(end) - possible[0]) % len(possible) + possible[0] for end in (first, last))
    is_padding: npt.NDArray[np.bool_] = (possible >= low) & (possible <= high)
    return is_padding


def _read_text(frame: Dataset, keyword: str) -> str:
    """Read a defined term; some writers use small letters or blanks."""
    return str(frame.get(keyword) or "").strip().upper().replace(" ", "_")


def _number(frame: Dataset, keyword: str) -> float | None:
    """Read a number, the first of several."""
    value = frame.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value is None or value == "" else float(value)
