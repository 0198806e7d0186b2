"""The text burned into a picture."""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.images.decoded import ImageArray

DISCLAIMER = "Research use only"
_FONT_HEIGHT = 1 / 26  # of the image's shorter side
_MIN_FONT_PIXELS = 9  # smaller letters of this font run into one another
_MAX_FONT_PIXELS = 64
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


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


@dataclass(frozen=True)
class _Lettering:
    """Characters, drawn.

    Attributes:
        mask: Their opacity, mode L.
        left: Columns from the pen to the mask.
        top: Rows from the pen to the mask.
    """

    mask: Image.Image
    left: int
    top: int


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
    y, anchor = (picture.height - margin, "ls") if at_bottom else (margin, "la")
    for line in lines:
        y += _write_line(picture, line, margin, y, largest, anchor)
    strip[:] = np.asarray(picture)


def _write_line(picture: Image.Image, text: str, left: int, y: int, largest: int, anchor: str) -> int:
    """Write one line as large as it fits; return the height it took in pixels, 0 where it does not fit."""
    for size in range(largest, _MIN_FONT_PIXELS - 1, -1):
        if _load_font(size).getlength(text) <= picture.width - 2 * left:
            for stroke, color in ((max(1, size // 8), _BLACK), (0, _WHITE)):
                drawn = _draw_line(text, size, stroke, anchor)
                picture.paste(color, (left + drawn.left, y + drawn.top), drawn.mask)
            return size + size // 3
    return 0


@lru_cache(maxsize=128)  # 6 MB where all are of the largest letters
def _draw_line(text: str, size: int, stroke: int, anchor: str) -> _Lettering:
    """Draw a line from its characters, each of which is drawn once: the same pixels as Pillow's of the whole text."""
    font, pen = _load_font(size), 2 * size
    canvas = Image.new("L", (round(font.getlength(text)) + 2 * pen, 2 * pen))
    x = pen
    for character in text:
        glyph = _draw_glyph(character, size, stroke, anchor)
        canvas.paste(255, (x + glyph.left, pen + glyph.top), glyph.mask)
        x += round(font.getlength(character))
    return _crop(canvas, pen)


@lru_cache(maxsize=1024)  # 10 MB where all are of the largest letters
def _draw_glyph(character: str, size: int, stroke: int, anchor: str) -> _Lettering:
    """Draw one character: as a letter, or `stroke` pixels wider all around."""
    pen = 2 * size
    canvas = Image.new("L", (2 * pen, 2 * pen))
    ImageDraw.Draw(canvas).text((pen, pen), character, 255, _load_font(size), anchor, stroke_width=stroke)
    return _crop(canvas, pen)


def _crop(canvas: Image.Image, pen: int) -> _Lettering:
    """Crop a canvas to what is drawn on it with the pen at (`pen`, `pen`)."""
    box = canvas.getbbox() or (0, 0, 1, 1)  # nothing is drawn of a space
    return _Lettering(canvas.crop(box), box[0] - pen, box[1] - pen)


@cache
def _load_font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
