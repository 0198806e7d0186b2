"""Another field of view, position or preparation; images are grey, (H, W) uint8."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from training.data.intensity import GreyArray
from training.robustness.intensity_shifts import find_brain_level

_MASK_SIDE = 128  # cells in which the brain is looked for
_TISSUE = 0.6  # of the brain's value: above are scalp and brain, below air, bone and fluid
_SCALP_CELLS = 5  # what is thinner than twice that is no brain


def crop(image: GreyArray, severity: float, generator: np.random.Generator) -> GreyArray:
    """Cut `severity` off both sides, split at random between the two ends, and enlarge the rest."""
    height, width = image.shape
    left, top = generator.uniform(0, severity, 2) * (width, height)
    box = (left, top, left + (1 - severity) * width, top + (1 - severity) * height)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box))


def zoom_out(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Shrink by `severity` of both sides and pad with black."""
    height, width = image.shape
    small_size = max(1, round(width * (1 - severity))), max(1, round(height * (1 - severity)))
    picture = Image.new("L", (width, height))
    small = Image.fromarray(image).resize(small_size, Image.Resampling.BILINEAR)
    picture.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return np.asarray(picture)


def rotate(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Turn counter-clockwise by `severity` degrees about the centre; what comes in is black."""
    return np.asarray(Image.fromarray(image).rotate(severity, Image.Resampling.BILINEAR))


def strip_skull(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Blank everything but the brain, as pipelines do that run BET or HD-BET first.

    Approximate: bright tissue is eroded until the scalp is gone, and the convex hull of its largest part, grown back,
    is kept with what is dark in it or at its rim (fluid, cysts, sella). Below the skull base, where thick muscle and
    fat touch the brain, they stay too. Without anything brain-like the image stays as it is.

    Args:
        severity: How much of the rest is taken away; 1 is all of it.
    """
    outline = _outline_brain(image)
    if len(outline) == 0:
        return image.copy()
    mask = Image.new("L", (image.shape[1], image.shape[0]))
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in outline.tolist()], fill=255)
    removed = 1 - np.asarray(mask, np.float32) / 255
    return np.rint(image * (1 - severity * removed)).astype(np.uint8)


def _outline_brain(image: GreyArray) -> npt.NDArray[np.float64]:
    """Find the corners (n, 2) of the convex hull of the brain, x and y in pixels; none where there is no brain."""
    small = Image.fromarray(image).resize((_MASK_SIDE, _MASK_SIDE), Image.Resampling.BILINEAR)
    tissue = np.asarray(small) > _TISSUE * find_brain_level(image)
    core = ndimage.binary_erosion(tissue, iterations=_SCALP_CELLS)
    parts, num_parts = ndimage.label(core)
    if num_parts == 0:
        return np.empty((0, 2))
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    rows, columns = np.nonzero(ndimage.binary_dilation(largest, iterations=_SCALP_CELLS))
    cells = np.stack([columns + 0.5, rows + 0.5], axis=1)
    scale = np.array([image.shape[1], image.shape[0]]) / _MASK_SIDE
    return np.asarray(cells[ConvexHull(cells).vertices] * scale, np.float64)
