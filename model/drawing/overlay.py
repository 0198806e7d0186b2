"""The picture for a radiologist: the scan, the evidence over it, and the prediction."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.drawing.heatmap import upsample_heatmap
from model.drawing.png import encode_png
from model.images.decoded import FloatArray, ImageArray

DISCLAIMER = "Research use only"
_FONT_HEIGHT = 1 / 26  # of the image's shorter side
_MIN_FONT_PIXELS = 9  # smaller letters of this font run into one another
_MAX_FONT_PIXELS = 64
_STRIP_ROWS = 64
_TURBO_EVERY_15TH = (  # red, green, blue of the levels 0, 15, ... 255
    (48, 18, 59),
    (63, 62, 156),
    (70, 102, 221),
    (69, 140, 253),
    (47, 178, 244),
    (26, 212, 208),
    (34, 235, 170),
    (82, 250, 122),
    (139, 255, 75),
    (183, 247, 53),
    (219, 226, 54),
    (245, 197, 58),
    (254, 161, 48),
    (249, 117, 29),
    (232, 75, 12),
    (206, 45, 4),
    (169, 22, 1),
    (122, 4, 3),
)


class View(StrEnum):
    """The kind of picture."""

    OVERLAY = "overlay"
    """The evidence over the scan."""
    HEATMAP = "heatmap"
    """The evidence over black."""
    SIDE_BY_SIDE = "side-by-side"
    """The scan as it came, and right of it the overlay."""
    EVIDENCE = "evidence"
    """The evidence alone, as opaque as it is strong: shown over the scan with an opacity a it gives the overlay."""
    SCAN = "scan"
    """The pixels as they were read."""


@dataclass(frozen=True)
class Caption:
    """The text burned into the picture: the prediction and, where another class is explained, that one too."""

    prediction: str
    confidence: float
    explained: str
    probability: float

    @property
    def lines(self) -> tuple[str, ...]:
        """The caption's text."""
        answer = " ".join(f"{self.prediction} {self.confidence:.1%}".split())  # a name may hold line breaks
        if self.explained == self.prediction:
            return (answer,)
        return (answer, " ".join(f"map: {self.explained} {self.probability:.1%}".split()))


def render_png(image: ImageArray, heatmap: FloatArray, caption: Caption, alpha: float, view: View) -> bytes:
    """Draw and encode; see `render`."""
    return encode_png(render(image, heatmap, caption, alpha, view))


def render(image: ImageArray, heatmap: FloatArray, caption: Caption, alpha: float, view: View) -> ImageArray:
    """Draw the evidence for a class at the scan's own resolution.

    Args:
        image: The scan, RGB, (H, W, 3) uint8.
        heatmap: (h, w) in [0, 1].
        alpha: Opacity where the map is 1, in [0, 1].

    Returns:
        RGB, (H, W, 3) uint8; with `View.SIDE_BY_SIDE` (H, 2 W, 3), with `View.EVIDENCE` RGBA, (H, W, 4). `View.SCAN`
        and `View.EVIDENCE` carry no caption.
    """
    if view is View.SCAN:
        return image
    height, width = image.shape[:2]
    evidence = upsample_heatmap(heatmap, height, width)
    if view is View.EVIDENCE:
        return paint(evidence)
    scan, opacity = (np.zeros_like(image), 1.0) if view is View.HEATMAP else (image, alpha)
    picture = blend(scan, evidence, opacity)
    write_caption(picture, caption)
    return np.concatenate([image, picture], axis=1) if view is View.SIDE_BY_SIDE else picture


@cache
def turbo_colors() -> ImageArray:
    """Compute the Turbo colour map, (256, 3) uint8, RGB, from dark blue over green to dark red.

    Mikhailov, "Turbo, An Improved Rainbow Colormap for Visualization", Google AI Blog 2019; linear between
    every 15th of its colours, which is at most 6 levels off.
    """
    levels, known = np.arange(256), np.arange(0, 256, 15)
    channels = [np.interp(levels, known, values) for values in np.array(_TURBO_EVERY_15TH).T]
    colors: ImageArray = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colors


def blend(image: ImageArray, evidence: FloatArray, alpha: float) -> ImageArray:
    """Lay colours over an image, the more opaque the more evidence there is; without any it stays as it is.

    Args:
        image: RGB, (H, W, 3) uint8.
        evidence: (H, W) in [0, 1].
        alpha: Opacity where `evidence` is 1, in [0, 1].
    """
    # Both factors depend on one of 256 levels only: tables, and integers in units of 1/256.
    opacity = np.rint(np.arange(256) * (alpha * 256 / 255)).astype(np.uint16)[:, None]
    painted = (turbo_colors() * opacity).astype(np.uint16)
    kept = np.repeat(256 - opacity, 3, axis=1)
    blended = np.empty_like(image)
    for top in range(0, len(image), _STRIP_ROWS):  # so that the working memory stays small, and in the cache
        rows = slice(top, top + _STRIP_ROWS)
        levels = np.rint(evidence[rows] * 255).astype(np.uint8)
        mixed = image[rows] * kept.take(levels, axis=0)
        mixed += painted.take(levels, axis=0)
        blended[rows] = mixed >> 8
    return blended


def paint(evidence: FloatArray) -> ImageArray:
    """Colour a map (H, W) in [0, 1] as `blend` does; RGBA, (H, W, 4) uint8, the opacity being the evidence itself."""
    painted = np.empty((*evidence.shape, 4), np.uint8)
    for top in range(0, len(evidence), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        painted[rows, :, 3] = np.rint(evidence[rows] * 255)
        painted[rows, :, :3] = turbo_colors()[painted[rows, :, 3]]
    return painted


def write_caption(image: ImageArray, caption: Caption) -> None:
    """Write the prediction top left and the disclaimer bottom left into `image`, in white outlined with black.

    The letters shrink with the image down to a size that can still be read; a line that is wider even
    then is left out, rather than smeared over the scan.
    """
    height, width = image.shape[:2]
    largest = min(_MAX_FONT_PIXELS, max(_MIN_FONT_PIXELS, round(min(height, width) * _FONT_HEIGHT)))
    margin = max(2, largest // 3)
    _write_lines(image[: margin + 2 * len(caption.lines) * largest], caption.lines, margin, largest)
    _write_lines(image[max(0, height - margin - 2 * largest) :], (DISCLAIMER,), margin, largest, at_bottom=True)


def _write_lines(
    strip: ImageArray, lines: tuple[str, ...], margin: int, largest: int, *, at_bottom: bool = False
) -> None:
    """Write lines into a strip of rows, from its top down, or one at its bottom."""
    picture = Image.fromarray(strip)
    draw = ImageDraw.Draw(picture)
    y, anchor = (picture.height - margin, "ls") if at_bottom else (margin, "la")
    for line in lines:
        y += _write_line(draw, line, margin, y, largest, anchor=anchor)
    strip[:] = np.asarray(picture)


def _write_line(draw: ImageDraw.ImageDraw, text: str, left: int, y: int, largest: int, *, anchor: str) -> int:
    """Write one line as large as it fits; return the height it took in pixels, 0 where it does not fit."""
    width = draw.im.size[0] - 2 * left
    for size in range(largest, _MIN_FONT_PIXELS - 1, -1):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font) <= width:
            stroke = max(1, size // 8)
            draw.text((left, y), text, (255, 255, 255), font, anchor, stroke_width=stroke, stroke_fill=(0, 0, 0))
            return size + size // 3
    return 0
