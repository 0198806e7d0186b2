"""JPEG 2000 frames, checked and put in order for Pillow, which reads less than others: ISO/IEC 15444-1, annex A.

Pillow decodes tile by tile. It stops at a tile whose parts do not follow each other or are more than they say, and at a
last part without length before a byte of padding; DICOM pads each frame to an even length.
"""

import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.errors import TruncatedImageError, UnsupportedPixelsError

_START, _DATA, _END = b"\xff\x4f\xff\x51", b"\xff\x93", b"\xff\xd9"
_SIZE, _STYLE, _PACKED_HEADERS, _PART = 0xFF51, 0xFF52, 0xFF60, 0xFF90
_PART_HEAD_BYTES, _NUM_PARTS_AT = 12, 11
_CUT = "The JPEG 2000 data end early or are damaged; send the complete file."
MAX_SEGMENTS = 1_024
MAX_TILES = 4_096
MAX_PARTS = 65_536
MAX_LAYERS = 64


@dataclass(frozen=True)
class Codestream:
    """A codestream without the boxes of a file around it.

    Attributes:
        shape: Height, width and number of components.
        precision: Bits of a sample.
        is_signed: If samples are signed, whatever the DICOM header says.
    """

    data: bytes
    shape: tuple[int, int, int]
    precision: int
    is_signed: bool


def read_codestream(frame: bytes) -> Codestream:
    """Read the header of a frame; no sample is decoded.

    Raises:
        TruncatedImageError: If the data end early or are damaged, or hold more than an image needs.
        UnsupportedPixelsError: If its components differ or are deeper than is read.
    """
    start = frame.find(_START)
    if start < 0:
        raise TruncatedImageError("The compressed frame has no header; send the complete file.")
    segments, end = _read_segments(frame, start + 2)
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", frame, segments[_SIZE] + 2)
    (num_components,) = struct.unpack_from(">H", frame, segments[_SIZE] + 34)
    (num_layers,) = struct.unpack_from(">H", frame, segments[_STYLE] + 2)
    num_tiles = -(-right // max(1, tile_width)) * -(-bottom // max(1, tile_height))
    if num_tiles > MAX_TILES or num_layers > MAX_LAYERS:
        raise TruncatedImageError(f"A JPEG 2000 frame may have at most {MAX_TILES:,} tiles and {MAX_LAYERS} layers.")
    first = segments[_SIZE] + 36
    kinds = {frame[place : place + 3] for place in range(first, first + 3 * num_components, 3)}
    depth, *sampling = kinds.pop()
    precision = (depth & 0x7F) + 1
    if kinds or sampling != [1, 1] or precision > (16 if num_components == 1 else 8):
        raise UnsupportedPixelsError(
            "Expected JPEG 2000 of whole pixels, of up to 16 bits or 8 of each colour; found others."
        )
    parts = frame[end:] if _PACKED_HEADERS in segments else _join_parts(frame, end, num_tiles) + _END
    return Codestream(
        frame[start:end] + parts, (bottom - top, right - left, num_components), precision, bool(depth >> 7)
    )


def decode_grey(stream: Codestream, is_signed: bool) -> npt.NDArray[np.uint16 | np.int16]:
    """Decode the samples (H, W) of one component.

    Args:
        is_signed: If the DICOM header says so. Where the codestream says otherwise, the bits are those that were meant.
    """
    with Image.open(io.BytesIO(stream.data), formats=("JPEG2000",)) as picture:
        scaled = np.asarray(picture)  # from 0, to the full range of 8 or 16 bits
    samples = (scaled >> (8 * scaled.itemsize - stream.precision)).astype(np.uint16)
    if stream.is_signed:
        samples -= np.uint16(1 << (stream.precision - 1))
    unused = 16 - stream.precision
    samples <<= np.uint16(unused)
    return samples.view(np.int16) >> np.int16(unused) if is_signed else samples >> np.uint16(unused)


def _read_segments(frame: bytes, position: int) -> tuple[dict[int, int], int]:
    """Find where the contents of the main header's segments begin, and where the header ends."""
    segments: dict[int, int] = {}
    for _ in range(MAX_SEGMENTS):
        marker, length = struct.unpack_from(">HH", frame, position)
        if marker == _PART:
            return segments, position
        segments[marker] = position + 4
        position += 2 + max(2, length)
    raise TruncatedImageError(f"A JPEG 2000 frame may have at most {MAX_SEGMENTS:,} segments in its header.")


def _join_parts(frame: bytes, position: int, num_tiles: int) -> bytes:
    """Join the parts of each tile, and give the last one its length if it has none."""
    tiles: dict[int, list[bytes]] = {}
    num_parts = 0
    while frame.startswith(_PART.to_bytes(2), position):
        tile, length = struct.unpack_from(">HI", frame, position + 4)
        length = length or frame.rindex(_END, position) - position
        part = frame[position : position + length]
        if len(part) < max(length, _PART_HEAD_BYTES) or num_parts == MAX_PARTS:
            raise TruncatedImageError(_CUT)
        tiles.setdefault(tile, []).append(part[:6] + struct.pack(">I", length) + part[10:])
        position, num_parts = position + length, num_parts + 1
    if len(tiles) < num_tiles or any(len(parts) < parts[0][_NUM_PARTS_AT] for parts in tiles.values()):
        raise TruncatedImageError(_CUT)
    return b"".join(_join_tile(tile, parts) for tile, parts in tiles.items())


def _join_tile(tile: int, parts: list[bytes]) -> bytes:
    if not all(part.startswith(_DATA, _PART_HEAD_BYTES) for part in parts[1:]):  # with changes for what follows
        return b"".join(parts)
    content = parts[0][_PART_HEAD_BYTES:]
    content += b"".join(part[_PART_HEAD_BYTES + len(_DATA) :] for part in parts[1:])
    return struct.pack(">HHHIBB", _PART, 10, tile, _PART_HEAD_BYTES + len(content), 0, 1) + content
