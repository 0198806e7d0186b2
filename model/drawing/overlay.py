"""The picture for a radiologist: the scan, the evidence over it, and the prediction."""

from enum import StrEnum
from functools import cache

import numpy as np

from model.drawing.caption import Caption, write_caption
from model.drawing.heatmap import quantize_heatmap
from model.images.decoded import FloatArray, ImageArray

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

    @property
    def is_layer(self) -> bool:
        """Whether it is for a viewer that draws for itself: it has no caption, and its pixels are data."""
        return self in (View.EVIDENCE, View.SCAN)


def render(image: ImageArray, heatmap: FloatArray, caption: Caption, alpha: float, view: View) -> ImageArray:
    """Draw the evidence for a class at the scan's own resolution.

    Args:
        image: The scan, RGB, (H, W, 3) uint8.
        heatmap: (h, w) in [0, 1].
        alpha: Opacity where the map is 1, in [0, 1].

    Returns:
        RGB, (H, W, 3) uint8; with `View.SIDE_BY_SIDE` (H, 2 W, 3), with `View.EVIDENCE` RGBA, (H, W, 4). A
        layer carries no caption.
    """
    if view is View.SCAN:
        return image
    levels = quantize_heatmap(heatmap, *image.shape[:2])
    if view is View.EVIDENCE:
        return paint(levels)
    scan, opacity = (np.zeros_like(image), 1.0) if view is View.HEATMAP else (image, alpha)
    picture = blend(scan, levels, opacity)
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


def blend(image: ImageArray, levels: ImageArray, alpha: float) -> ImageArray:
    """Lay colours over an image, the more opaque the more evidence there is; without any it stays as it is.

    Args:
        image: RGB, (H, W, 3) uint8.
        levels: The evidence, (H, W) uint8.
        alpha: Opacity where `levels` is 255, in [0, 1].
    """
    # Both factors depend on the level only: tables, and integers in units of 1/256.
    opacity = np.rint(np.arange(256) * (alpha * 256 / 255)).astype(np.uint16)[:, None]
    painted = (turbo_colors() * opacity).astype(np.uint16)
    kept = np.repeat(256 - opacity, 3, axis=1)
    blended = np.empty_like(image)
    for top in range(0, len(image), _STRIP_ROWS):  # so that the working memory stays small, and in the cache
        rows = slice(top, top + _STRIP_ROWS)
        indices = levels[rows].astype(np.intp)  # which `take` would make of them each time
        mixed = image[rows] * kept.take(indices, axis=0)
        mixed += painted.take(indices, axis=0)
        blended[rows] = mixed >> 8
    return blended


def paint(levels: ImageArray) -> ImageArray:
    """Colour evidence (H, W) uint8 as `blend` does; RGBA, (H, W, 4) uint8, the opacity being the evidence itself."""
    colors = np.concatenate([turbo_colors(), np.arange(256, dtype=np.uint8)[:, None]], axis=1)
    painted = np.empty((*levels.shape, 4), np.uint8)
    for top in range(0, len(levels), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        painted[rows] = colors.take(levels[rows], axis=0)
    return painted
