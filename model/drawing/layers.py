"""The scan and the evidence as two pictures, for a page that lays one over the other itself."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.drawing.heatmap import upsample_heatmap
from model.drawing.overlay import turbo_colors
from model.drawing.png import encode_png
from model.images.decoded import FloatArray, ImageArray

MAX_SCAN_PIXELS = 1024  # of the longer side: about what a page shows, and a few megabytes at most
MAX_EVIDENCE_PIXELS = 384  # the map is smooth: enlarging this one adds what a larger one would have


@dataclass(frozen=True)
class PictureLayers:
    """Two pictures of one aspect ratio, as PNG.

    Attributes:
        scan: As it was judged, RGB; reduced where a side exceeds `MAX_SCAN_PIXELS`.
        evidence: RGBA; as opaque as the evidence is strong. Shown over the scan with an opacity a in [0, 1], it gives
            what `model.drawing.overlay.blend` draws with `alpha` = a.
    """

    scan: bytes
    evidence: bytes


def render_layers(image: ImageArray, heatmap: FloatArray) -> PictureLayers:
    """Draw both layers.

    Args:
        image: The scan, RGB, (H, W, 3) uint8.
        heatmap: (h, w) in [0, 1].
    """
    return PictureLayers(encode_png(_reduce(image)), _encode_rgba(_paint(heatmap, *_fit(image, MAX_EVIDENCE_PIXELS))))


def _fit(image: ImageArray, max_side: int) -> tuple[int, int]:
    """Find the height and width of an image whose longer side has at most `max_side` pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _reduce(image: ImageArray) -> ImageArray:
    height, width = _fit(image, MAX_SCAN_PIXELS)
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0))


def _paint(heatmap: FloatArray, height: int, width: int) -> ImageArray:
    """Colour a map as `overlay` does; (height, width, 4) uint8, the last channel being the evidence itself."""
    levels = np.rint(upsample_heatmap(heatmap, height, width) * 255).astype(np.uint8)
    return np.concatenate([turbo_colors()[levels], levels[..., None]], axis=2)


def _encode_rgba(picture: ImageArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
