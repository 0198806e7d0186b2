"""Lookup tables of a header, of greys as of colours: PS3.3 C.7.6.3.1.5, C.7.9.2 and C.11."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from model.errors import TruncatedImageError, UnsupportedPixelsError

_DAMAGED = "A lookup table of the DICOM header is missing or damaged."
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2  # kinds of segments

Values = npt.NDArray[np.float64]


def read_table(item: Dataset, is_signed: bool, name: str = "LUT") -> tuple[Values, int, int]:
    """Read a lookup table: its entries, the value that maps to the first of them, and the bits of an entry.

    Args:
        name: Of its attributes, without "Descriptor" and "Data".

    Raises:
        TruncatedImageError: If it is damaged.
        UnsupportedPixelsError: If its segments repeat others.
    """
    descriptor = item.get(f"{name}Descriptor")
    if descriptor is None or len(descriptor) != 3:
        raise TruncatedImageError(_DAMAGED)
    num_entries, first, num_bits = (int(number) for number in descriptor)
    num_entries = num_entries % 2**16 or 2**16
    if f"{name}Data" in item:
        entries = _read_numbers(item, f"{name}Data", 2 * num_entries)[:num_entries].astype(np.float64)
    elif f"Segmented{name}Data" in item:
        segments = _read_numbers(item, f"Segmented{name}Data", 0 if num_bits > 8 else 2**32)
        entries = np.asarray(_expand(segments.tolist(), num_entries)[:num_entries], np.float64)
    else:
        raise TruncatedImageError(_DAMAGED)
    if len(entries) < num_entries or not 1 <= num_bits <= 16 or not np.isfinite(entries).all():
        raise TruncatedImageError(_DAMAGED)
    return entries, first - 2**16 if is_signed and first >= 2**15 else first, num_bits


def look_up(values: Values, entries: Values, first: int) -> Values:
    """Look values up in a table; values beyond its ends get the entry at that end."""
    places = np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(np.int64)
    looked_up: Values = entries[places]
    return looked_up


def _read_numbers(item: Dataset, keyword: str, num_wide_bytes: int) -> npt.NDArray[Any]:
    """Read numbers of one byte, or of two if there are `num_wide_bytes`."""
    element, is_big_endian = item[keyword], item.original_encoding[1] is False
    if not isinstance(element.value, bytes):
        return np.ravel(element.value)
    words = np.frombuffer(element.value[: len(element.value) // 2 * 2], ">u2" if is_big_endian else "<u2")
    if len(element.value) >= num_wide_bytes:
        return words
    if is_big_endian and element.VR == "OW":  # two numbers in each word, the first one in its low byte
        return words.astype("<u2").view(np.uint8)
    return np.frombuffer(element.value, np.uint8)


def _expand(segments: list[int], num_entries: int) -> list[float]:
    """Expand the segments of a table: PS3.3 C.7.9.2."""
    entries: list[float] = []
    position = 0
    while len(entries) < num_entries:
        kind, length, *_ = segments[position : position + 3]
        if kind == _INDIRECT:
            raise UnsupportedPixelsError("A palette whose segments repeat others is not read; send the image as RGB.")
        if not length or kind not in (_DISCRETE, _LINEAR) or (kind == _LINEAR and not entries):
            raise TruncatedImageError(_DAMAGED)
        if kind == _DISCRETE:
            entries += segments[position + 2 : position + 2 + length]
            position += 2 + length
        else:
            entries += np.rint(np.linspace(entries[-1], segments[position + 2], length + 1)[1:]).tolist()
            position += 3
    return entries
