"""From the few cells of a heat map to the pixels of the scan."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from model.images.decoded import FloatArray, ImageArray

_STRIP_ROWS = 64  # enlarged at a time, so that the working memory stays small, and in the cache


def upsample_heatmap(heatmap: FloatArray, height: int, width: int) -> FloatArray:
    """Enlarge a map smoothly, so that its peak lies between cells that are equally strong.

    R M C^T, with M the map and R, C weights of the cubic B-spline (Unser, "Splines: a perfect fit for signal
    and image processing", IEEE Signal Processing Magazine 1999, equation 3) about half-pixel centres, the
    edges repeated. The spline approximates: unlike cubic convolution it never overshoots, and where two
    neighbouring cells are alike its peak is midway, not on one of them. The result is scaled to the map's own
    maximum.

    Args:
        heatmap: (h, w) in [0, 1].

    Returns:
        (height, width) float32 in [0, 1].
    """
    enlarged = np.empty((height, width), np.float32)
    for rows, smooth in _enlarge(heatmap, height, width):
        enlarged[rows] = smooth
    return enlarged


def quantize_heatmap(heatmap: FloatArray, height: int, width: int) -> ImageArray:
    """Enlarge a map as `upsample_heatmap` does; (height, width) uint8, 255 being 1."""
    levels = np.empty((height, width), np.uint8)
    for rows, smooth in _enlarge(heatmap, height, width):
        smooth *= 255
        levels[rows] = np.rint(smooth, out=smooth)
    return levels


def _enlarge(heatmap: FloatArray, height: int, width: int) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the enlarged map, strip by strip, with the rows of each."""
    above = spline_weights(height, heatmap.shape[0]) @ heatmap.astype(np.float32, copy=False)
    beside = spline_weights(width, heatmap.shape[1]).T
    strips = [slice(top, top + _STRIP_ROWS) for top in range(0, height, _STRIP_ROWS)]
    highest = max((above[rows] @ beside).max() for rows in strips)
    scale = heatmap.max() / highest if highest > 0 else 1
    for rows in strips:
        smooth = above[rows] @ beside
        smooth *= scale
        yield rows, np.clip(smooth, 0, 1, out=smooth)


@lru_cache(maxsize=32)
def spline_weights(num_pixels: int, num_cells: int) -> FloatArray:
    """Weigh the cells for each pixel of one axis: (num_pixels, num_cells) float32, rows sum to 1; read-only."""
    positions = (np.arange(num_pixels) + 0.5) * (num_cells / num_pixels) - 0.5
    taps = np.floor(positions)[:, None] + np.arange(-1, 3)
    distances = np.abs(positions[:, None] - taps)
    near, far = 2 / 3 - distances**2 + distances**3 / 2, np.maximum(2 - distances, 0) ** 3 / 6
    weights = np.zeros((num_pixels, num_cells), np.float32)
    cells = taps.clip(0, num_cells - 1).astype(np.int64)
    np.add.at(weights, (np.arange(num_pixels)[:, None], cells), np.where(distances < 1, near, far))
    weights.flags.writeable = False
    return weights
