"""Writers of image files in every variant that a format allows, and in those that it does not."""

import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))

# Types of a TIFF tag.
BYTE, SHORT, LONG, RATIONAL, DOUBLE, LONG8 = 1, 3, 4, 5, 12, 16
_TIFF_FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "I", DOUBLE: "d", LONG8: "Q"}
# Tags of a TIFF file.
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, SAMPLES = 256, 257, 258, 259, 262, 273, 277
ROWS, SIZES, PLANAR, TILE_WIDTH, TILE_LENGTH, TILES, TILE_SIZES, FORMAT = 278, 279, 284, 322, 323, 324, 325, 339
ORIENTATION, X_RESOLUTION, EXIF = 274, 282, 34665

Values = npt.NDArray[np.generic]
Tags = dict[int, tuple[int, Sequence[int] | Values]]


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_bits(rows: Values, depth: int) -> list[bytes]:
    """Each row of numbers as bytes, of `depth` bits a number, the first in the highest bits."""
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in rows]
    bits = (rows.astype(np.uint8)[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1)).tobytes() for row in bits]


def compress_rows(values: Values, depth: int, interlaced: bool = False) -> bytes:
    """The content of PNG's IDAT: (H, W) or (H, W, channels) numbers."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [values[top::down, left::right] for top, left, down, right in passes]
    return zlib.compress(b"".join(b"\0" + row for part in parts if part.size for row in pack_bits(part, depth)))


def write_png(
    size: tuple[int, int],
    depth: int,
    color: int,
    pixels: bytes,
    before: bytes = b"",
    after: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """`color`: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA; `size`: width, height."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, int(interlaced)))
    return PNG_SIGNATURE + head + before + png_chunk(b"IDAT", pixels) + after + png_chunk(b"IEND")


def write_tiff(tags: Tags, data: bytes, order: str = "<", big: bool = False) -> bytes:
    """A TIFF file of one directory, after `data`, which begin at byte 16; a tag is its type and its numbers."""
    place, numbers = ("Q", "HHQ") if big else ("I", "HHI")
    room = struct.calcsize(place)
    begin = 16 + len(data)
    size = struct.calcsize(order + ("Q" if big else "H")) + len(tags) * (struct.calcsize(order + numbers) + room) + room
    entries, later = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        code = _TIFF_FORMATS[kind]
        packed = np.asarray(values).astype(order + code).tobytes()
        if len(packed) > room:
            value = struct.pack(order + place, begin + size + len(later))
            later += packed
        else:
            value = packed.ljust(room, b"\0")
        count = len(values) // 2 if kind == RATIONAL else len(values)
        entries += struct.pack(order + numbers, tag, kind, count) + value
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(f"{order}HHHQ", 43, 8, 0, begin) if big else struct.pack(f"{order}HI", 42, begin)
    directory = struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + struct.pack(order + place, 0)
    return head.ljust(16, b"\0") + data + directory + later


def grey_tags(width: int, height: int, depth: int = 8) -> Tags:
    """The tags of a grey TIFF file of one strip at byte 16."""
    num_bytes = height * ((width * depth + 7) // 8)
    return {
        WIDTH: (LONG, [width]),
        LENGTH: (LONG, [height]),
        BITS: (SHORT, [depth]),
        COMPRESSION: (SHORT, [1]),
        PHOTOMETRIC: (SHORT, [1]),
        STRIPS: (LONG, [16]),
        SAMPLES: (SHORT, [1]),
        ROWS: (LONG, [height]),
        SIZES: (LONG, [num_bytes]),
    }


def write_bitmap(
    size: tuple[int, int], depth: int, compression: int, data: bytes, palette: bytes = b"", masks: bytes = b""
) -> bytes:
    """A BMP file; a negative height means that the first row is the upper one."""
    offset = 54 + len(masks) + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, depth, compression, len(data), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + masks + palette + data


def riff_chunk(name: bytes, data: bytes = b"") -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def write_webp(chunks: Iterable[bytes]) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return riff_chunk(b"RIFF", body)


def webp_canvas(width: int, height: int, flags: int) -> bytes:
    """The head of an extended WebP file; flag 2 means an animation, 8 EXIF data."""
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in (width, height))
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + sides)


def jpeg_segment(marker: int, data: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def insert_segments(jpeg: bytes, segments: bytes) -> bytes:
    """Put segments right after the start of a JPEG file."""
    return jpeg[:2] + segments + jpeg[2:]
