"""The scans that are sent: drawn, so that everybody measures the same; as detailed as real ones."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.images.decoded import ImageArray

_JPEG_QUALITY = 90
_OCTAVES = (4, 8, 16, 32, 64, 128)  # cells a side; each half as strong as the one before


@dataclass(frozen=True)
class Picture:
    """An encoded scan.

    Attributes:
        form: "JPEG" or "PNG".
        side: Of the square, pixels.
    """

    form: str
    side: int
    data: bytes

    @property
    def name(self) -> str:
        """What stands in tables."""
        return f"{self.form} {self.side}"


def draw_pictures(form: str, side: int, count: int = 8) -> list[Picture]:
    """Draw several different scans of one kind."""
    return [Picture(form, side, encode_scan(draw_head(side, seed), form)) for seed in range(count)]


def draw_head(side: int, seed: int) -> ImageArray:
    """Draw an ellipse of tissue on black, (side, side) uint8; a 512 x 512 JPEG of it has the 25 KB of a real one."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    head = (rows - 0.5) ** 2 / 0.2 + (columns - 0.5) ** 2 / 0.14 < 1
    tissue = np.zeros((side, side))
    for octave, num_cells in enumerate(_OCTAVES):
        noise = generator.normal(0, 40 / 2**octave, (num_cells, num_cells)).astype(np.float32)
        tissue += np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(head * (90 + tissue).clip(20, 255), np.uint8)


def encode_scan(pixels: ImageArray, form: str) -> bytes:
    """Encode grey pixels (H, W) as "JPEG" or "PNG"."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **({"quality": _JPEG_QUALITY} if form == "JPEG" else {}))
    return buffer.getvalue()
