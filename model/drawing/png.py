"""Encodes PNG files, as far as overlays need it.

The filter is "up" for every row, and Intel's ISA-L deflates at its level 2. For scans with a smooth overlay that takes
a quarter of the time of zlib at level 1 and a seventh of Pillow's at its lowest, for files that are 4 % smaller to 4 %
larger. Other filters cost more time than they save bytes.
W3C, "Portable Network Graphics (PNG) Specification", 2003, sections 5, 9 and 11.2.
"""

import struct

import numpy as np
from isal import isal_zlib

from model.images.decoded import ImageArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {3: 2, 4: 6}  # by channels: truecolour, and the same with alpha
_FILTER_UP = 2
_LEVEL = 2
_STRIP_ROWS = 64


def encode_png(image: ImageArray) -> bytes:
    """Encode an image, RGB (H, W, 3) or RGBA (H, W, 4), uint8."""
    height, width, num_channels = image.shape
    # 8 bit; deflate, adaptive filters, not interlaced
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[num_channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _compress(image.reshape(height, -1))), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _compress(rows: ImageArray) -> bytes:
    """Filter and deflate rows (H, C W), strip by strip so that no second image is held."""
    compressor = isal_zlib.compressobj(_LEVEL)
    filtered = np.empty((min(_STRIP_ROWS, len(rows)), 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _FILTER_UP
    above = np.zeros_like(rows[0])
    parts = []
    for top in range(0, len(rows), _STRIP_ROWS):
        strip = rows[top : top + _STRIP_ROWS]
        np.subtract(strip[0], above, out=filtered[0, 1:])
        np.subtract(strip[1:], strip[:-1], out=filtered[1 : len(strip), 1:])
        parts.append(compressor.compress(filtered[: len(strip)].data))
        above = strip[-1]
    return b"".join([*parts, compressor.flush()])


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
