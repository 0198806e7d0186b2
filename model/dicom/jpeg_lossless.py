"""Lossless JPEG (process 14) without a codec in C: ITU-T T.81, annexes C, F.2.2 and H.

DICOM's oldest lossless compression, read by neither Pillow nor pyjpegls. GDCM, the one library small enough to ship and
of a fitting licence, ends the process on damaged data; Python raises an exception. A sample takes about a microsecond,
and so the largest MR matrices (1024 x 1024) a second.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from model.errors import ImageTooLargeError, TruncatedImageError, UnsupportedPixelsError
from model.images.damage import refuse_damage
from model.images.jpeg import DICOM_MARKERS, START_OF_SCAN, walk_segments

MAX_SAMPLES = 2**21  # two seconds

_FRAME, _HUFFMAN, _RESTART_INTERVAL = 0xC3, 0xC4, 0xDD
_MODULUS = 0xFFFF  # differences are modulo 2 ** 16, H.1.2.1
_LONGEST_CODE = 16
_MARKER = re.compile(rb"\xff[^\0]")

_UNSUPPORTED = "Lossless JPEG with restart intervals, or with components of different sizes or one by one, is not read."
_DAMAGED = "The lossless JPEG data end early or are damaged; send the complete file."

_Predictor = Callable[[int, int, int], int]  # of the samples to the left, above, and above to the left
_PREDICTORS: dict[int, _Predictor] = {  # table H.1
    1: lambda left, above, corner: left,
    2: lambda left, above, corner: above,
    3: lambda left, above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, corner: (left + above) >> 1,
}

Samples = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Frame:
    precision: int
    height: int
    width: int
    components: tuple[int, ...]


@dataclass(frozen=True)
class _Scan:
    tables: tuple[int, ...]
    predictor: int
    point_transform: int
    start: int


def decode_jpeg_lossless(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode one picture.

    Returns:
        (H, W, C) uint16 with C of 1 or 3; signed values are in two's complement of the file's precision.

    Raises:
        TruncatedImageError: If the data end early or are damaged.
        UnsupportedPixelsError: If they are built in a way that is not read.
        ImageTooLargeError: If it has more than `MAX_SAMPLES` samples.
    """
    with refuse_damage(_DAMAGED):
        frame, scan, codes = _read_segments(data)
        num_samples = _count_samples(frame)
        tables = [codes[index] for index in scan.tables]
    differences = _read_differences(_entropy_coded(data, scan.start), tables, num_samples)
    planes = differences.reshape(frame.height, frame.width, len(tables)).transpose(2, 0, 1)
    first = 1 << (frame.precision - scan.point_transform - 1)
    restored = [_restore(plane, first, scan.predictor) for plane in planes]
    return (np.stack(restored, axis=2) << scan.point_transform).astype(np.uint16)


def _count_samples(frame: _Frame) -> int:
    num_samples = frame.height * frame.width * len(frame.components)
    if num_samples > MAX_SAMPLES:
        raise ImageTooLargeError(f"A lossless JPEG may have at most {MAX_SAMPLES:,} samples (found {num_samples:,}).")
    return num_samples


def _read_segments(data: bytes) -> tuple[_Frame, _Scan, dict[int, list[tuple[int, int]]]]:
    frame: _Frame | None = None
    codes: dict[int, list[tuple[int, int]]] = {}
    for segment in walk_segments(data, DICOM_MARKERS):
        content = data[segment.start : segment.end]
        if data[segment.start - 4 - segment.num_fill_bytes : segment.start - 4].strip(b"\xff"):
            raise ValueError("bytes between segments")
        if segment.marker == _FRAME:
            frame = _read_frame(content)
        elif segment.marker == _HUFFMAN:
            codes.update(_read_codes(content))
        elif segment.marker == _RESTART_INTERVAL and any(content):
            raise UnsupportedPixelsError(_UNSUPPORTED)
        elif segment.marker == START_OF_SCAN and frame is not None:
            return frame, _read_scan(content, segment.end, frame), codes
    raise ValueError("no scan")


def _read_frame(segment: bytes) -> _Frame:
    precision, height, width, num_components = struct.unpack_from(">BHHB", segment)
    parts = [struct.unpack_from(">BBB", segment, 6 + 3 * index) for index in range(num_components)]
    if not (2 <= precision <= 16 and height and width) or num_components not in (1, 3):
        raise ValueError("not a frame of DICOM")
    if any(sampling != 0x11 for _, sampling, _ in parts):
        raise UnsupportedPixelsError(_UNSUPPORTED)
    return _Frame(precision, height, width, tuple(name for name, _, _ in parts))


def _read_scan(segment: bytes, start: int, frame: _Frame) -> _Scan:
    count = segment[0]
    parts = [(segment[1 + 2 * index], segment[2 + 2 * index] >> 4) for index in range(count)]
    predictor, _, transform = segment[1 + 2 * count : 4 + 2 * count]
    if tuple(name for name, _ in parts) != frame.components:
        raise UnsupportedPixelsError(_UNSUPPORTED)
    if predictor not in _PREDICTORS or (transform & 15) >= frame.precision:
        raise ValueError("no such predictor")
    return _Scan(tuple(table for _, table in parts), predictor, transform & 15, start)


def _read_codes(segment: bytes) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Read Huffman tables as lists from 16 bits to (bits of code and number together, bits of the number)."""
    position = 0
    while position < len(segment):
        name, lengths = segment[position], segment[position + 1 : position + 17]
        position += 17
        table: list[tuple[int, int]] = []
        for length, count in enumerate(lengths, 1):
            for category in segment[position : position + count]:
                if category > 16:
                    raise ValueError("no such category")
                extra = category % 16  # the difference 32768 has no bits of its own, H.1.2.2
                table += [(length + extra, category)] * (1 << (_LONGEST_CODE - length))
            position += count
            if len(table) > 1 << _LONGEST_CODE:
                raise ValueError("codes overlap")
        yield name & 15, table + [(0, -1)] * ((1 << _LONGEST_CODE) - len(table))


def _entropy_coded(data: bytes, start: int) -> bytes:
    """Extract the coded data up to the next marker, without the zero that follows each 0xFF in them."""
    marker = _MARKER.search(data, start)
    return data[start : marker.start() if marker else len(data)].replace(b"\xff\0", b"\xff")


def _read_differences(coded: bytes, tables: list[list[tuple[int, int]]], num_samples: int) -> Samples:
    """Decode the differences, the components of a pixel one after the other; F.2.2.1 and H.2."""
    words = chain(struct.unpack(f">{len(coded) // 4}I", coded[: len(coded) // 4 * 4]), _last_words(coded))
    differences = np.empty(num_samples, np.int64)
    num_tables, bits, num_bits = len(tables), 0, 0
    try:
        for index in range(num_samples):
            if num_bits < 32:
                bits, num_bits = (bits & ((1 << num_bits) - 1)) << 32 | next(words), num_bits + 32
            used, category = tables[index % num_tables][bits >> (num_bits - _LONGEST_CODE) & 0xFFFF]
            if category < 0:
                raise TruncatedImageError(_DAMAGED)
            num_bits -= used
            if category == 16:
                differences[index] = 32768
                continue
            value = bits >> num_bits & ((1 << category) - 1)
            differences[index] = value if value >> (category - 1 if category else 0) else value - (1 << category) + 1
    except StopIteration as error:
        raise TruncatedImageError(_DAMAGED) from error
    if num_bits + 32 * sum(1 for _ in words) < 64 - 8 * (len(coded) % 4):  # the decoder has read into the padding
        raise TruncatedImageError(_DAMAGED)
    return differences


def _last_words(coded: bytes) -> Iterator[int]:
    """Yield the last bytes, and zeros for the decoder's look-ahead."""
    rest = coded[len(coded) // 4 * 4 :]
    yield from (int.from_bytes(rest.ljust(4, b"\0"), "big"), 0)


def _restore(differences: Samples, first: int, predictor: int) -> Samples:
    """Add the predictions to the differences (H, W), modulo 2 ** 16; H.1.2.1.

    The first row is predicted from the left and the first column from above, whatever the predictor.
    """
    values = differences.copy()
    values[0, 0] += first
    if predictor != 2:
        values[:, 0] = np.cumsum(values[:, 0])
    if predictor != 1:
        values[0] = np.cumsum(values[0])
    if predictor <= 2:
        return np.cumsum(values, axis=2 - predictor) & _MODULUS
    values &= _MODULUS
    predict = _PREDICTORS[predictor]
    above = values[0].tolist()
    for row in values[1:]:
        restored = row.tolist()
        for column in range(1, len(restored)):
            predicted = predict(restored[column - 1], above[column], above[column - 1])
            restored[column] = (predicted + restored[column]) & _MODULUS
        row[:] = above = restored
    return values
