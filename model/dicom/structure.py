"""The places of the elements in a DICOM file, found before pydicom reads any: PS3.10 and PS3.5.

As in `model.images.structure`, a reader's work grows with the number of elements and the depth of sequences. So only
what is asked for is handed to it: a sequence of 2,000 frames is passed over but for the item of one. Files of millions
of elements or endlessly nested sequences are refused, and files that inflate to gigabytes.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from model.errors import TruncatedImageError
from model.images.damage import refuse_damage
from model.images.signature import MAGIC_END, has_preamble

MAX_ELEMENTS = 2**20  # with items and fragments, passed over at a microsecond each; 2,000 frames of 500 elements
MAX_READ_ELEMENTS = 2**17  # in the sequences that are read, at ten microseconds each
MAX_DEPTH = 16  # sequences in sequences; reports have about eight
MAX_INFLATED_BYTES = 2**26
DEFLATED = "1.2.840.10008.1.2.1.99"

_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_TRANSFER_SYNTAX, PIXEL_DATA = 0x00020010, 0x7FE00010
_DELIMITERS, _ITEM = 0xFFFE, 0xE000  # the group of items and of their ends
_ITEMS = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_INFLATE_STEP_BYTES = 2**16


class Element(NamedTuple):
    """The place of an element.

    Attributes:
        kind: Its value representation; empty in a file that has none.
        head: Where it begins.
        start: Where its value begins.
        end: Where it ends, which may be beyond the data.
    """

    kind: bytes
    head: int
    start: int
    end: int


@dataclass(frozen=True)
class DicomFile:
    """A data set, inflated, and the places of its elements by their tags.

    Attributes:
        transfer_syntax: Its UID; of an uncompressed file also where the file does not name it.
        is_explicit: If elements name their value representation.
        is_whole: If its elements could be followed to the end.
    """

    transfer_syntax: str
    body: bytes
    is_explicit: bool
    elements: dict[int, Element]
    is_whole: bool = True

    @property
    def is_little_endian(self) -> bool:
        """True if numbers begin with their lowest byte."""
        return self.transfer_syntax != _BIG_ENDIAN

    def cut_elements(self, tags: Iterable[int]) -> bytes:
        """Cut out some elements, for a reader.

        Raises:
            TruncatedImageError: If their sequences hold more than is ever needed.
        """
        found = [self.elements[tag] for tag in sorted(tags) if tag in self.elements]
        walk = _Walk(self, MAX_READ_ELEMENTS, is_deep=True)
        for element in found:
            walk.pass_elements(element.head, element.end)
        return b"".join(self.body[element.head : element.end] for element in found)

    def cut_item(self, tag: int, index: int) -> bytes:
        """Cut out a sequence with one of its items alone, or nothing if it has no such item; errors as above."""
        element = self.elements.get(tag)
        item = element and _Walk(self, MAX_ELEMENTS).find_item(element, index)
        if not element or not item:
            return b""
        start, end = item
        _Walk(self, MAX_READ_ELEMENTS, is_deep=True).pass_elements(start + 8, end)
        order = "<" if self.is_little_endian else ">"
        head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        head += struct.pack("2s2x", element.kind) if self.is_explicit else b""
        return head + struct.pack(f"{order}I", end - start) + self.body[start:end]


def split_dicom(data: bytes) -> DicomFile:
    """Find the data set of a file, and the places of its elements.

    Raises:
        TruncatedImageError: If there is none, or it holds more parts than an image needs.
    """
    with refuse_damage("The DICOM header is damaged; send the complete file."):
        syntax, start = _read_meta(data)
    body = _inflate(memoryview(data)[start:]) if syntax == DEFLATED else data[start:]
    is_explicit = _names_kind(body, 0)  # as pydicom decides, whatever the transfer syntax
    file = DicomFile(syntax or _guess_syntax(body, is_explicit), body, is_explicit, {})
    is_whole = _Walk(file, MAX_ELEMENTS).pass_elements(0, len(body), file.elements)
    pixels = file.elements.get(PIXEL_DATA)
    if not syntax and pixels and body.startswith(_ITEMS, pixels.start):  # compressed, and nothing says how
        return replace(file, transfer_syntax="", is_whole=is_whole)
    return replace(file, is_whole=is_whole)


def _read_meta(data: bytes) -> tuple[str, int]:
    """Read the transfer syntax and the end of the meta information, which is always explicit little endian."""
    position, syntax = MAGIC_END if has_preamble(data) else 0, ""
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


def _guess_syntax(body: bytes, is_explicit: bool) -> str:
    if not is_explicit:
        return _IMPLICIT
    return _EXPLICIT if int.from_bytes(body[:2], "little") < 0x0400 else _BIG_ENDIAN


def _names_kind(data: bytes, position: int) -> bool:
    """True if the element at a position has a value representation."""
    kind = data[position + 4 : position + 6]
    return kind.isalpha() and kind.isupper()


def _inflate(deflated: memoryview) -> bytes:
    """Inflate at most `MAX_INFLATED_BYTES`; the first pass counts them and keeps none."""
    with refuse_damage("The deflated data are damaged; send the complete file."):
        for num_bytes in accumulate(map(len, _inflate_steps(deflated))):
            if num_bytes > MAX_INFLATED_BYTES:
                raise TruncatedImageError(
                    f"A deflated file may inflate to at most {MAX_INFLATED_BYTES:,} bytes; send it uncompressed."
                )
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
    """Passes over elements and counts them; a structure that cannot be followed is left to the reader.

    Args:
        is_deep: If the values whose end is known are looked into as well.
    """

    def __init__(self, file: DicomFile, max_elements: int, is_deep: bool = False) -> None:
        order = "<" if file.is_little_endian else ">"
        self._data, self._is_explicit, self._is_deep = file.body, file.is_explicit, is_deep
        self._max_elements, self._num_elements = max_elements, 0
        self._item = struct.pack(f"{order}HH", _DELIMITERS, _ITEM)
        self._explicit, self._implicit, self._long = (
            struct.Struct(order + form).unpack_from for form in ("HH2sH", "HHI", "I")
        )

    def pass_elements(self, position: int, end: int, found: dict[int, Element] | None = None) -> bool:
        """Pass the elements from a position to an end, and note their places; true if they end there."""
        try:
            return self._pass_elements(position, end, 0, self._is_explicit, found) == end
        except struct.error:  # the data end early
            return False

    def find_item(self, element: Element, index: int) -> tuple[int, int] | None:
        """Find the beginning and the end of an item of a sequence."""
        is_explicit, head, position = self._is_explicit and element.kind != b"UN", 0, element.start
        try:
            for _ in range(index + 1):
                head = position
                self._count()
                if position >= element.end or not self._data.startswith(self._item, position):
                    return None
                position = self._pass_item(position, element.end, 0, is_explicit)
        except struct.error:
            return None
        return head, position

    def _pass_elements(
        self, position: int, end: int, depth: int, is_explicit: bool, found: dict[int, Element] | None = None
    ) -> int:
        """Pass the elements of one data set; return its end."""
        if depth > MAX_DEPTH:
            raise TruncatedImageError(f"A DICOM file may nest sequences {MAX_DEPTH} deep; this one is deeper.")
        is_explicit = is_explicit and _names_kind(self._data, position)  # as pydicom decides
        while position < end:
            self._count()
            if is_explicit:
                group, element, kind, length = self._explicit(self._data, position)
            else:
                (group, element, length), kind = self._implicit(self._data, position), b""
            start = position + 8
            if group == _DELIMITERS:
                return start
            if kind in _LONG:
                (length,) = self._long(self._data, start)
                start += 4
            stop = start + length
            if length == _UNDEFINED:
                stop = self._pass_items(start, len(self._data), depth, is_explicit and kind != b"UN")
            elif self._is_deep and (kind == b"SQ" or self._data.startswith(self._item, start)):
                self._pass_items(start, min(stop, len(self._data)), depth, is_explicit and kind != b"UN")
            if found is not None:
                found[group << 16 | element] = Element(kind, position, start, stop)
            position = stop
        return position

    def _pass_items(self, position: int, end: int, depth: int, is_explicit: bool) -> int:
        while position < end:
            self._count()
            if not self._data.startswith(self._item, position):
                return position + 8
            position = self._pass_item(position, end, depth, is_explicit)
        return position

    def _pass_item(self, position: int, end: int, depth: int, is_explicit: bool) -> int:
        (length,) = self._long(self._data, position + 4)
        if length == _UNDEFINED:
            return self._pass_elements(position + 8, end, depth + 1, is_explicit)
        if self._is_deep:
            self._pass_elements(position + 8, min(position + 8 + length, end), depth + 1, is_explicit)
        return int(position + 8 + length)

    def _count(self) -> None:
        self._num_elements += 1
        if self._num_elements > self._max_elements:
            raise TruncatedImageError(
                f"A DICOM file may hold at most {self._max_elements:,} elements where they are read one by one."
            )
