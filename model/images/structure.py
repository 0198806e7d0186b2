"""Bounds on the structure of an image file, checked before a codec reads it.

A codec's time and memory grow with the parts of a file (segments, scans, chunks, numbers in a directory) and not only
with its pixels: 20 MB of empty parts keep a core busy for minutes, or fill gigabytes. No image needs so many, so such
files are refused. A structure that cannot be followed is left to the codec, which reports the damage.
"""

import struct
from contextlib import suppress

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
# By type; each number becomes an object, where other types are one piece.
_NUMBER_BYTES = {3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
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
    raise _too_many("chunks", MAX_CHUNKS)


def _check_segments(data: bytes) -> None:
    position, num_fill_bytes, num_scans, exif = 2, 0, 0, []
    for number, segment in enumerate(walk_segments(data, RASTER_MARKERS), 1):
        if segment.marker == END_OF_IMAGE:
            break
        num_fill_bytes += 0 if num_scans else segment.num_fill_bytes
        num_scans += segment.marker == START_OF_SCAN
        if num_scans > MAX_SCANS:
            raise _too_many("scans", MAX_SCANS)
        if num_fill_bytes > MAX_FILL_BYTES:
            raise _too_many("bytes between its segments", MAX_FILL_BYTES)
        if number > MAX_SEGMENTS:
            raise _too_many("segments", MAX_SEGMENTS)
        if segment.marker == _APP1 and data.startswith(_JPEG_EXIF, segment.start):
            exif.append(data[segment.start + len(_JPEG_EXIF) : segment.end])
        position = segment.end
    if not num_scans and len(data) - position > MAX_FILL_BYTES:
        raise _too_many("bytes between its segments", MAX_FILL_BYTES)
    _check_exif(b"".join(exif))  # as Pillow puts them together


def _check_bitmap(data: bytes) -> None:
    if len(data) > MAX_RUN_LENGTH_BYTES and int.from_bytes(data[30:34], "little") in _RUN_LENGTH:
        raise _too_many("run-length encoded bytes", MAX_RUN_LENGTH_BYTES)


def _check_single_exif(found: list[bytes]) -> None:
    if len(found) > 1:
        raise _too_many("EXIF data", 1)
    for data in found:
        _check_exif(data)


def _check_exif(data: bytes) -> None:
    while data.startswith(_JPEG_EXIF):
        data = data[len(_JPEG_EXIF) :]
    _check_directories(data)


def _check_directories(data: bytes) -> None:
    """Check the first directory of a TIFF file, or of EXIF data; those that it names are never read."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    is_big = 43 in data[2:4]
    head, entry = ("Q", "HHQ8x") if is_big else ("H", "HHI4x")
    with suppress(struct.error):  # the data end early
        (start,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", data, 8 if is_big else 4)
        if start >= len(data):
            return
        (num_entries,) = struct.unpack_from(order + head, data, start)
        first = start + struct.calcsize(head)
        num_entries = min(num_entries, (len(data) - first) // struct.calcsize(order + entry))  # the others are damage
        if num_entries > MAX_DIRECTORY_ENTRIES:
            raise _too_many("entries in a directory", MAX_DIRECTORY_ENTRIES)
        num_numbers = 0
        for number in range(num_entries):
            tag, kind, count = struct.unpack_from(order + entry, data, first + number * struct.calcsize(order + entry))
            size = _NUMBER_BYTES.get(kind, 1 if tag in _STRIPS else 0)
            num_numbers += count if 0 < count * size <= len(data) else 0  # no reader takes more than there is
        if num_numbers > MAX_DIRECTORY_NUMBERS:
            raise _too_many("numbers in a directory", MAX_DIRECTORY_NUMBERS)


def _too_many(parts: str, limit: int) -> TruncatedImageError:
    return TruncatedImageError(f"The file holds more {parts} than an image needs, {limit:,}; save the image again.")
