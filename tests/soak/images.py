"""The images that are sent: good ones, and ones that no service should accept."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.samples.phantoms import draw_scan, encode

MAX_GIGAPIXEL_BYTES = 4096
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SPOTS = (None, (0.35, 0.5), (0.65, 0.5), (0.5, 0.35))


@dataclass(frozen=True)
class Scan:
    """An encoded image and its size in pixels."""

    name: str
    data: bytes
    width: int
    height: int


def draw_scans(seed: int, sizes: tuple[int, ...] = (256, 384, 512)) -> tuple[Scan, ...]:
    """Draw good scans: every format, grey, colour, palette, alpha and 16 bit."""
    scans = []
    for index, (name, form, mode, options) in enumerate(_VARIANTS):
        size = sizes[index % len(sizes)]
        pixels = draw_scan(size, _SPOTS[index % len(_SPOTS)], seed=1000 * seed + index)
        scans.append(Scan(name, encode(_convert(pixels, mode), form, **options), size, size))
    return tuple(scans)


_VARIANTS: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    ("jpeg", "JPEG", "L", {"quality": 90}),
    ("jpeg_rgb", "JPEG", "RGB", {"quality": 80}),
    ("jpeg_progressive", "JPEG", "L", {"quality": 85, "progressive": True}),
    ("png", "PNG", "L", {}),
    ("png_rgb", "PNG", "RGB", {}),
    ("png_16_bit", "PNG", "I;16", {}),
    ("png_alpha", "PNG", "RGBA", {}),
    ("png_palette", "PNG", "P", {}),
    ("webp", "WEBP", "RGB", {"quality": 85}),
    ("webp_lossless", "WEBP", "RGB", {"lossless": True}),
    ("bmp", "BMP", "L", {}),
    ("tiff", "TIFF", "L", {}),
    ("tiff_lzw", "TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("tiff_deflate", "TIFF", "I;16", {"compression": "tiff_adobe_deflate"}),
)


def draw_blank() -> bytes:
    """Draw an image of which all pixels are equal."""
    return encode(np.full((128, 128, 3), 70, np.uint8))


def draw_tiny() -> bytes:
    """Draw an image with too few pixels."""
    return encode(draw_scan(16))


def write_gigapixels(side: int = 100_000) -> bytes:
    """Write a PNG of at most 4 KB whose header promises side * side pixels; 100,000 squared are ten gigapixels."""
    rows = zlib.compress(bytes(2**21), 9)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    data = _SIGNATURE + b"".join(write_chunk(kind, content) for kind, content in chunks)
    if len(data) > MAX_GIGAPIXEL_BYTES:
        raise ValueError(f"expected at most {MAX_GIGAPIXEL_BYTES} bytes, got {len(data)}")
    return data


def write_chunk(kind: bytes, content: bytes) -> bytes:
    """Write a chunk of a PNG: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _convert(pixels: np.ndarray, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels).convert(mode)
