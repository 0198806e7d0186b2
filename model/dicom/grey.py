"""Stored values to the grey of a radiologist's monitor: PS3.3 C.11 and PS3.14, in their order.

    stored values -> modality LUT or rescale -> VOI LUT or window -> presentation LUT or MONOCHROME1 -> 8 bit

A value becomes the same grey at every pixel, so all steps are applied to a table of the at most 65,536 possible values,
and the image is looked up in it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from model.dicom.pixels import PixelLayout
from model.errors import TruncatedImageError

TAIL = 0.01  # of the pixels on either side of the window where the file names none
NO_WINDOW = "the file names no window; the 1st to 99th percentile was used"

Values = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]


def render_grey(stored: npt.NDArray[Any], frame: Dataset, layout: PixelLayout) -> tuple[Grey, tuple[str, ...]]:
    """Turn the stored values of a frame into 8-bit grey.

    Args:
        stored: (H, W), integers of at most 16 bits.
        frame: Its attributes; see `model.dicom.image.describe_frame`.

    Returns:
        (H, W) uint8, and changes that the sender may not expect.

    Raises:
        TruncatedImageError: If the attributes contradict the standard.
    """
    low = -(1 << (layout.bits_stored - 1)) if layout.is_signed else 0
    places = stored.astype(np.int32) - low
    possible = np.arange(1 << layout.bits_stored, dtype=np.float64) + low
    is_padding = _find_padding(possible, frame)
    values = apply_modality(possible, frame)
    if not np.isfinite(values).all():
        raise TruncatedImageError("The DICOM header's rescale values are not usable.")
    counts = np.bincount(places.ravel(), minlength=len(possible)) * ~is_padding
    shown, notes = apply_voi(values, counts, frame)
    if _is_inverted(frame, layout):
        shown = 1 - shown
    table = np.rint(np.where(is_padding, 0.0, shown) * 255).astype(np.uint8)
    return table[places], notes


def apply_modality(stored: Values, frame: Dataset) -> Values:
    """Apply the modality LUT, or slope and intercept: PS3.3 C.11.1."""
    sequence = frame.get("ModalityLUTSequence")
    if sequence:
        entries, first, _ = read_table(sequence[0], stored.min() < 0)
        return look_up(stored, entries, first)
    slope, intercept = _number(frame, "RescaleSlope"), _number(frame, "RescaleIntercept")
    return stored * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def apply_voi(values: Values, counts: npt.NDArray[Any], frame: Dataset) -> tuple[Values, tuple[str, ...]]:
    """Map the range of values to show to [0, 1]: PS3.3 C.11.2.

    The first of several LUTs or windows is used, and a LUT rather than a window.

    Args:
        counts: Number of pixels of each value, for the window where the file names none.
    """
    sequence = frame.get("VOILUTSequence")
    if sequence:
        entries, first, num_bits = read_table(sequence[0], values.min() < 0)
        return np.clip(look_up(values, entries, first) / ((1 << num_bits) - 1), 0, 1), ()
    center, width = _number(frame, "WindowCenter"), _number(frame, "WindowWidth")
    if center is not None and width is not None:
        return apply_window(values, center, width, str(frame.get("VOILUTFunction") or "LINEAR")), ()
    low, high = find_percentiles(values, counts)
    return np.clip((values - low) / max(high - low, np.finfo(np.float64).tiny), 0, 1), (NO_WINDOW,)


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
    if num_tail == 0:  # only padding
        return float(values.min()), float(values.max())
    from_below, from_above = np.cumsum(counts[order]), np.cumsum(counts[order[::-1]])
    low = values[order[np.searchsorted(from_below, num_tail)]]
    high = values[order[::-1][np.searchsorted(from_above, num_tail)]]
    if low == high:  # hardly any pixels: their whole range
        present = values[counts > 0]
        low, high = present.min(), present.max()
    return float(low), float(high)


def _is_inverted(frame: Dataset, layout: PixelLayout) -> bool:
    """True if low values are bright; the two attributes for it do not cancel out, PS3.3 C.11.6.1.2."""
    return layout.photometric == "MONOCHROME1" or frame.get("PresentationLUTShape") == "INVERSE"


def _find_padding(possible: Values, frame: Dataset) -> npt.NDArray[np.bool_]:
    """Find the values of pixels that were not measured: PS3.3 C.7.5.1.1.2."""
    first = _number(frame, "PixelPaddingValue")
    if first is None:
        return np.zeros(len(possible), np.bool_)
    last = _number(frame, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return (possible >= low) & (possible <= high)


def read_table(item: Dataset, is_signed: bool, name: str = "LUT") -> tuple[Values, int, int]:
    """Read a lookup table: its entries, the value that maps to the first of them, and the bits of an entry.

    Args:
        name: Of its attributes, without "Descriptor" and "Data".

    Raises:
        TruncatedImageError: If it is damaged.
    """
    descriptor, data = item.get(f"{name}Descriptor"), item.get(f"{name}Data")
    if data is None or descriptor is None or len(descriptor) != 3:
        raise TruncatedImageError("A lookup table of the DICOM header is damaged.")
    num_entries, first, num_bits = (int(number) for number in descriptor)
    num_entries = num_entries or 2**16
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if len(data) == num_entries else _two_bytes(item))
    entries = np.asarray(data, np.float64).ravel()[:num_entries]
    if len(entries) < num_entries or not 1 <= num_bits <= 16 or not np.isfinite(entries).all():
        raise TruncatedImageError("A lookup table of the DICOM header is damaged.")
    return entries, first - 2**16 if is_signed and first >= 2**15 else first, num_bits


def _two_bytes(item: Dataset) -> str:
    _, is_little_endian = item.original_encoding
    return ">u2" if is_little_endian is False else "<u2"


def look_up(values: Values, entries: Values, first: int) -> Values:
    """Look values up in a table; values beyond its ends get the entry at that end."""
    places = np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(np.int64)
    looked_up: Values = entries[places]
    return looked_up


def _number(frame: Dataset, keyword: str) -> float | None:
    """Read a number, the first of several."""
    value = frame.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value is None or value == "" else float(value)
