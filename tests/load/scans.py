"""The images that are sent: drawn, so that everybody sends the same; as detailed as real ones, or to be refused."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_QUALITY = 90
_OCTAVES = (4, 8, 16, 32, 64, 128)  # cells a side; each half as strong as the one before
_SPOTS = (None, (0.35, 0.5), (0.65, 0.5), (0.5, 0.35))
_GIGAPIXEL_SIDE = 100_000
_VARIANTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("jpeg", "JPEG", "L", {}),
    ("jpeg_rgb", "JPEG", "RGB", {"quality": 80}),
    ("jpeg_progressive", "JPEG", "L", {"progressive": True}),
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


def draw_head(side: int, seed: int, spot: tuple[float, float] | None = None) -> npt.NDArray[np.uint8]:
    """Draw an ellipse of tissue on black, (side, side); a 512 x 512 JPEG of it has the 25 KB of a real one.

    Args:
        spot: Centre (x, y) in [0, 1] of a bright disc.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    head = (rows - 0.5) ** 2 / 0.2 + (columns - 0.5) ** 2 / 0.14 < 1
    tissue = np.zeros((side, side))
    for octave, num_cells in enumerate(_OCTAVES):
        noise = generator.normal(0, 40 / 2**octave, (num_cells, num_cells)).astype(np.float32)
        tissue += np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))
    if spot is not None:
        tissue += 140 * ((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2 < 0.01)
    return np.asarray(head * (90 + tissue).clip(20, 255), np.uint8)


def draw_scans(form: str, side: int, count: int = 8) -> list[bytes]:
    """Draw several different scans of one kind."""
    return [encode(draw_head(side, seed), form) for seed in range(count)]


def draw_originals(count: int = 16) -> list[bytes]:
    """Draw JPEGs of the size that users have, 512 x 512; every other one is grey coded as RGB."""
    return [encode(draw_head(512, seed), "JPEG", ("L", "RGB")[seed % 2]) for seed in range(count)]


def draw_variants(seed: int, sizes: tuple[int, ...] = (256, 384, 512)) -> dict[str, bytes]:
    """Draw scans by name: every format, grey, colour, palette, alpha and 16 bit."""
    scans = {}
    for index, (name, form, mode, options) in enumerate(_VARIANTS):
        pixels = draw_head(sizes[index % len(sizes)], 1000 * seed + index, _SPOTS[index % len(_SPOTS)])
        scans[name] = encode(pixels, form, mode, **options)
    return scans


def encode(pixels: npt.NDArray[np.uint8], form: str, mode: str = "L", **options: Any) -> bytes:
    """Encode grey pixels (H, W) in a mode of Pillow's; "I;16" has 16 bits."""
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    options = {"quality": _JPEG_QUALITY, **options} if form == "JPEG" else options
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_gigapixels() -> bytes:
    """Write a PNG of less than 4 KB whose header promises ten gigapixels."""
    header = struct.pack(">IIBBBBB", _GIGAPIXEL_SIDE, _GIGAPIXEL_SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(2**21), 9)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(write_chunk(kind, content) for kind, content in chunks)


def write_chunk(kind: bytes, content: bytes) -> bytes:
    """Write a chunk of a PNG: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
