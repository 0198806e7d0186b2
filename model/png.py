"""Writing PNG files: what the overlay needs of it, and nothing else.

The filter is "up" for every row and the compression level 1. For scans with a smooth overlay that is twice
as fast as Pillow at its lowest level, for a file of the same size (`adaptive` filters cost more time than
they save bytes), and spares the serving image a 150 MB library.
W3C, "Portable Network Graphics (PNG) Specification", 2003, sections 5, 9 and 11.2.
"""

import struct
import zlib

import numpy as np

from model.preprocessing import ImageArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUECOLOR_8_BIT = bytes([8, 2, 0, 0, 0])  # depth, colour type, deflate, adaptive filters, no interlace
_FILTER_UP = 2
_LEVEL = 1


def encode_png(image: ImageArray) -> bytes:
    """Encode an image, RGB (H, W, 3) uint8."""
    height, width = image.shape[:2]
    rows = image.reshape(height, width * 3)
    filtered = np.empty((height, 1 + width * 3), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">II", width, height) + _TRUECOLOR_8_BIT
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, _LEVEL)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
