"""From the few cells of a heat map to the pixels of the scan."""

import numpy as np

from model.images.decoded import FloatArray


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
    rows, columns = spline_weights(height, heatmap.shape[0]), spline_weights(width, heatmap.shape[1])
    smooth = rows @ heatmap.astype(np.float32, copy=False) @ columns.T
    highest = smooth.max()
    if highest > 0:
        smooth *= heatmap.max() / highest
    return np.clip(smooth, 0, 1, out=smooth)


def spline_weights(num_pixels: int, num_cells: int) -> FloatArray:
    """Weigh the cells for each pixel of one axis: (num_pixels, num_cells) float32, rows sum to 1."""
    positions = (np.arange(num_pixels) + 0.5) * (num_cells / num_pixels) - 0.5
    taps = np.floor(positions)[:, None] + np.arange(-1, 3)
    distances = np.abs(positions[:, None] - taps)
    near, far = 2 / 3 - distances**2 + distances**3 / 2, np.maximum(2 - distances, 0) ** 3 / 6
    weights = np.zeros((num_pixels, num_cells), np.float32)
    cells = taps.clip(0, num_cells - 1).astype(np.int64)
    np.add.at(weights, (np.arange(num_pixels)[:, None], cells), np.where(distances < 1, near, far))
    return weights
