"""Bounds on the structure of a DICOM file, checked before pydicom reads it: PS3.10 and PS3.5.

As in `model.images.structure`, a reader's work grows with the number of elements and the depth of sequences, so files
of millions of empty elements or endlessly nested sequences are refused, and files that inflate to gigabytes.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from model.errors import TruncatedImageError
from model.images.damage import refuse_damage
from model.images.signature import MAGIC_END

MAX_ELEMENTS = 2**17  # with items and fragments; 1,000 frames with 100 elements each make 100,000
MAX_DEPTH = 16  # sequences in sequences; reports have about eight
MAX_INFLATED_BYTES = 2**26
DEFLATED = "1.2.840.10008.1.2.1.99"

_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_TRANSFER_SYNTAX = 0x00020010
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_INFLATE_STEP_BYTES = 2**16


@dataclass(frozen=True)
class DicomFile:
    """The UID of a file's transfer syntax, and its data set, inflated."""

    transfer_syntax: str
    body: bytes

    @property
    def is_implicit(self) -> bool:
        """True if elements lack their type."""
        return self.transfer_syntax == _IMPLICIT

    @property
    def is_little_endian(self) -> bool:
        """True if numbers begin with their lowest byte."""
        return self.transfer_syntax != _BIG_ENDIAN


def split_dicom(data: bytes) -> DicomFile:
    """Find the data set of a file, and check its structure.

    Raises:
        TruncatedImageError: If there is none, or it holds more parts than an image needs.
    """
    with refuse_damage("The DICOM header is damaged; send the complete file."):
        syntax, start = _read_meta(data)
    file = DicomFile(syntax, _inflate(memoryview(data)[start:]) if syntax == DEFLATED else data[start:])
    _Walk(file.body, file.is_little_endian).check()
    return file


def _read_meta(data: bytes) -> tuple[str, int]:
    """Read the transfer syntax and the end of the meta information, which is always explicit little endian."""
    position, syntax = MAGIC_END, ""
    while data[position : position + 2] == b"\2\0":
        group, element, kind, length = struct.unpack_from("<HH2sH", data, position)
        start = position + 8
        if kind in _LONG:
            (length,) = struct.unpack_from("<I", data, start)
            start += 4
        position = start + length
        if group << 16 | element == _TRANSFER_SYNTAX:
            syntax = data[start:position].decode("ascii").strip("\0 ")
    return syntax, position


def _inflate(deflated: memoryview) -> bytes:
    """Inflate at most `MAX_INFLATED_BYTES`; the first pass counts them and keeps none."""
    with refuse_damage("The deflated data are damaged; send the complete file."):
        for num_bytes in accumulate(map(len, _inflate_steps(deflated))):
            if num_bytes > MAX_INFLATED_BYTES:
                raise TruncatedImageError("The file inflates to more bytes than an image needs; send it uncompressed.")
        return b"".join(_inflate_steps(deflated))


def _inflate_steps(deflated: memoryview) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for start in range(0, len(deflated), _INFLATE_STEP_BYTES):
        rest: bytes | memoryview = deflated[start : start + _INFLATE_STEP_BYTES]
        while rest and not inflater.eof:
            yield inflater.decompress(rest, _INFLATE_STEP_BYTES)
            rest = inflater.unconsumed_tail
    yield inflater.flush()


class _Walk:
    """Counts the elements of a data set; a structure that cannot be followed is left to the reader."""

    def __init__(self, data: bytes, is_little_endian: bool) -> None:
        self._data = data
        self._order = "<" if is_little_endian else ">"
        self._num_elements = 0

    def check(self) -> None:
        try:
            self._pass_elements(0, len(self._data), 0)
        except struct.error:  # the data end early
            return

    def _pass_elements(self, position: int, end: int, depth: int) -> int:
        """Pass the elements of one data set; return its end."""
        if depth > MAX_DEPTH:
            raise TruncatedImageError("The file nests sequences deeper than an image needs; save the image again.")
        # As pydicom decides, whatever the transfer syntax.
        is_explicit = self._data[position + 4 : position + 6].isalpha()
        while position < end:
            tag = self._read_tag(position)
            if tag in (_END_OF_ITEM, _END_OF_SEQUENCE):
                return position + 8
            kind, length, start = self._read_head(position, is_explicit)
            position = self._pass_value(tag, kind, length, start, depth)
        return position

    def _pass_value(self, tag: int, kind: bytes, length: int, start: int, depth: int) -> int:
        if length == _UNDEFINED:
            return self._pass_items(start, len(self._data), tag == _PIXEL_DATA, depth)
        is_item = self._data[start : start + 4] == struct.pack(f"{self._order}HH", 0xFFFE, 0xE000)
        if kind == b"SQ" or (kind in (b"UN", b"") and is_item and tag != _PIXEL_DATA):
            self._pass_items(start, min(start + length, len(self._data)), False, depth)
        return start + length

    def _pass_items(self, position: int, end: int, are_fragments: bool, depth: int) -> int:
        while position < end:
            tag = self._read_tag(position)
            (length,) = struct.unpack_from(f"{self._order}I", self._data, position + 4)
            position += 8
            if tag != _ITEM:
                return position
            if are_fragments:
                position += length
            elif length == _UNDEFINED:
                position = self._pass_elements(position, end, depth + 1)
            else:
                self._pass_elements(position, min(position + length, end), depth + 1)
                position += length
        return position

    def _read_tag(self, position: int) -> int:
        self._num_elements += 1
        if self._num_elements > MAX_ELEMENTS:
            raise TruncatedImageError("The file holds more elements than an image needs; save the image again.")
        group, element = struct.unpack_from(f"{self._order}HH", self._data, position)
        return int(group << 16 | element)

    def _read_head(self, position: int, is_explicit: bool) -> tuple[bytes, int, int]:
        """Read an element's type (empty where there is none), its length, and the start of its value."""
        if not is_explicit:
            return b"", *struct.unpack_from(f"{self._order}I", self._data, position + 4), position + 8
        kind = self._data[position + 4 : position + 6]
        if kind in _LONG:
            return kind, *struct.unpack_from(f"{self._order}I", self._data, position + 8), position + 12
        return kind, *struct.unpack_from(f"{self._order}H", self._data, position + 6), position + 8
