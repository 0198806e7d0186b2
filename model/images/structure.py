"""Bounds on the structure of an image file, checked before a codec reads it.

A codec's time and memory grow with the parts of a file (segments, scans, chunks, numbers in a directory) and not only
with its pixels: 20 MB of empty parts keep a core busy for minutes, or fill gigabytes. No image needs so many, so such
files are refused. A structure that cannot be followed is left to the codec, which reports the damage.
"""

import struct
from collections.abc import Iterable

from model.errors import TruncatedImageError
from model.images.jpeg import END_OF_IMAGE, RASTER_MARKERS, START_OF_SCAN, walk_segments

MAX_CHUNKS = 65_536  # 500 MB of PNG in chunks of 8 KB as libpng writes them, or 30,000 frames of an animation
MAX_SEGMENTS = 512  # of a JPEG; a colour profile has at most 255
MAX_SCANS = 100  # each is one pass over all pixels; encoders make about ten
MAX_FILL_BYTES = 65_536  # between the segments of a JPEG
MAX_DIRECTORY_ENTRIES = 4_096
MAX_DIRECTORY_NUMBERS = 2**18  # place and length of each 16 x 16 tile in 4096 x 4096 pixels make half of it
MAX_RUN_LENGTH_BYTES = 4 * 2**20  # of a run-length encoded BMP, which is decoded run by run in Python

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_EXIF = b"Exif\0\0"
_APP1 = 0xE1
_RUN_LENGTH = (1, 2)  # BI_RLE8, BI_RLE4
_SUBDIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_PLACE_FORMATS = {3: "H", 8: "H", 4: "I", 9: "I", 13: "I", 16: "Q"}  # by type, of a tag that holds an offset
_NUMBER_TYPES = (3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16)  # each number becomes an object; other types are one piece
_STRIPS = (273, 324)  # StripOffsets and TileOffsets, each number of which becomes a task, whatever its type


def check_structure(data: bytes) -> None:
    """Refuse a file of more parts than any image needs.

    Raises:
        TruncatedImageError: If it has more.
    """
    if data.startswith(_PNG):
        _check_chunks(data, len(_PNG), len(data), is_png=True)
    elif data.startswith(_JPEG):
        _check_segments(data)
    elif data.startswith(b"RIFF"):
        _check_chunks(data, 12, min(len(data), 8 + int.from_bytes(data[4:8], "little")), is_png=False)
    elif data.startswith(b"BM"):
        _check_bitmap(data)
    else:
        _check_directories(data)


def _check_chunks(data: bytes, position: int, end: int, *, is_png: bool) -> None:
    """Check the chunks of a PNG file (length, name, data, checksum) or a RIFF file (name, length, data, padding)."""
    exif = []
    for _ in range(MAX_CHUNKS):
        start = position + 8
        first, second = data[position : position + 4], data[position + 4 : start]
        size, name = (first, second) if is_png else (second, first)
        length = int.from_bytes(size, "big" if is_png else "little")
        if name == (b"eXIf" if is_png else b"EXIF"):
            exif.append(data[start : start + length])
        position = start + length + (4 if is_png else length % 2)
        if position >= end or (is_png and name == b"IEND"):
            return _check_single_exif(exif)
    raise _too_many("chunks")


def _check_segments(data: bytes) -> None:
    position, num_fill_bytes, num_scans, exif = 2, 0, 0, []
    for number, segment in enumerate(walk_segments(data, RASTER_MARKERS), 1):
        if segment.marker == END_OF_IMAGE:
            break
        num_fill_bytes += 0 if num_scans else segment.num_fill_bytes
        num_scans += segment.marker == START_OF_SCAN
        if num_scans > MAX_SCANS or num_fill_bytes > MAX_FILL_BYTES:
            raise _too_many("scans" if num_scans else "bytes between its segments")
        if number > MAX_SEGMENTS:
            raise _too_many("segments")
        if segment.marker == _APP1 and data.startswith(_JPEG_EXIF, segment.start):
            exif.append(data[segment.start + len(_JPEG_EXIF) : segment.end])
        position = segment.end
    if not num_scans and len(data) - position > MAX_FILL_BYTES:
        raise _too_many("bytes between its segments")
    _check_exif(b"".join(exif))  # as Pillow puts them together


def _check_bitmap(data: bytes) -> None:
    if len(data) > MAX_RUN_LENGTH_BYTES and int.from_bytes(data[30:34], "little") in _RUN_LENGTH:
        raise _too_many("run-length encoded bytes")


def _check_single_exif(found: list[bytes]) -> None:
    if len(found) > 1:
        raise _too_many("EXIF data")
    for data in found:
        _check_exif(data)


def _check_exif(data: bytes) -> None:
    while data.startswith(_JPEG_EXIF):
        data = data[len(_JPEG_EXIF) :]
    _check_directories(data)


def _check_directories(data: bytes) -> None:
    """Check the first directory of a TIFF file, or of EXIF data, and those with metadata that it names."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    is_big = data[2:3] == b"+"
    try:
        places = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", data, 8 if is_big else 4)
        for _ in range(3):  # the first one names EXIF's, which names that of interoperability
            places = tuple(place for start in places for place in _check_directory(data, start, order, is_big))
    except struct.error:  # the data end early
        return


def _check_directory(data: bytes, start: int, order: str, is_big: bool) -> Iterable[int]:
    """Check one directory; return the offsets of those that it names."""
    head, entry, value_at = ("Q", "HHQ8x", 12) if is_big else ("H", "HHI4x", 8)
    if start >= len(data):
        return ()
    (num_entries,) = struct.unpack_from(order + head, data, start)
    if num_entries > MAX_DIRECTORY_ENTRIES:
        raise _too_many("entries in a directory")
    places: dict[int, int] = {}
    num_numbers, position = 0, start + struct.calcsize(head)
    for _ in range(num_entries):
        tag, kind, count = struct.unpack_from(order + entry, data, position)
        if kind in _NUMBER_TYPES or tag in _STRIPS:
            num_numbers += count
        if tag in _SUBDIRECTORIES and kind in _PLACE_FORMATS:
            if count != 1:
                raise _too_many("subdirectories")
            places.setdefault(tag, *struct.unpack_from(order + _PLACE_FORMATS[kind], data, position + value_at))
        if num_numbers > MAX_DIRECTORY_NUMBERS:
            raise _too_many("numbers in a directory")
        position += struct.calcsize(order + entry)
    return places.values()


def _too_many(parts: str) -> TruncatedImageError:
    return TruncatedImageError(f"The file holds more {parts} than an image needs; save the image again.")
