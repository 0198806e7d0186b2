"""Drawn heads, for examples that may show no patient.

Ellipses after Shepp and Logan, "The Fourier Reconstruction of a Head Section", IEEE Transactions on Nuclear Science
1974, with the grey levels of a T1-weighted axial slice, folds of the cortex, and the noise of a scanner.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from model.images.decoded import FloatArray, ImageArray

_FLUID, _GREY, _WHITE, _RIM, _CORE, _OEDEMA = 24, 82, 112, 225, 48, 66  # levels of 255
# From the brain outwards: fluid, inner table, marrow, outer table, scalp, air.
_BAND_EDGES = (0.865, 0.895, 0.91, 0.94, 0.955, 1.0)  # in radii of the head
_BAND_LEVELS = np.array([0, _FLUID, 12, 78, 12, 128, 0], np.float32)
_HALF_WIDTH, _HALF_HEIGHT = 0.36, 0.44  # of the head, in parts of the picture's side
_NOISE = 3.0


@dataclass(frozen=True)
class Lesion:
    """A round mass that takes up contrast agent.

    Attributes:
        x: Of its centre, in [0, 1] from the left.
        y: Of its centre, in [0, 1] from the top.
        radius: In parts of the picture's side.
        hollow: Bright at its rim alone, in a dark surrounding; else all over.
    """

    x: float
    y: float
    radius: float
    hollow: bool = False


def draw_phantom(size: int = 512, lesion: Lesion | None = None, seed: int = 0) -> ImageArray:
    """Draw an axial slice of a synthetic head.

    Returns:
        RGB, (size, size, 3) uint8, grey.
    """
    generator = np.random.default_rng(seed)
    rows, columns = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5) / size
    x, y = (columns - 0.5) / _HALF_WIDTH, (rows - 0.5) / _HALF_HEIGHT
    radius = np.hypot(x, y) + 0.008 * _draw_waves(generator, size, 5)
    brain = _draw_brain(generator, x, y, radius)
    if lesion:
        distance = np.hypot(columns - lesion.x, rows - lesion.y) / lesion.radius
        brain = _add_lesion(brain, distance + 0.1 * _draw_waves(generator, size, 12), lesion.hollow)
    band = np.digitize(radius, _BAND_EDGES)
    grey = _blur(np.where(band == 0, brain, _BAND_LEVELS[band]), size / 350)
    noise = generator.normal(0, _NOISE, (2, size, size))
    magnitude = np.hypot(grey + noise[0], noise[1])  # of a complex signal: Rician, as a scanner's is
    return np.repeat(magnitude.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def draw_test_chart(size: int = 512) -> ImageArray:
    """Draw a test chart, which is no scan: a star of black and white rays; (size, size, 3) uint8."""
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    rays = np.sin(18 * np.arctan2(rows, columns)) > 0
    grey = np.where(np.hypot(rows, columns) < 0.45 * size, 255 * rays, 128)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def _draw_brain(generator: np.random.Generator, x: FloatArray, y: FloatArray, radius: FloatArray) -> FloatArray:
    """White matter, cortex with its furrows, nuclei and ventricles; x and y in [-1, 1] across the head."""
    size = len(x)
    folds = _draw_waves(generator, size, 22)
    brain = np.where(radius + 0.05 * folds > 0.72, _GREY, _WHITE).astype(np.float32)
    furrow = (np.abs(folds) < 0.16) & (radius > 0.64 + 0.05 * _draw_waves(generator, size, 10))
    brain[furrow] = (_GREY + _FLUID) / 2
    for side in (-1, 1):
        brain[np.hypot((x - side * 0.33) / 0.13, (y - 0.02) / 0.2) < 1] = _GREY
        brain[np.hypot((x - side * 0.13) / 0.1, (y + 0.2) / 0.2) < 1] = _GREY
        ventricle = np.hypot((x - side * (0.1 + 0.25 * np.abs(y))) / 0.075, y / 0.36) < 1
        brain[ventricle] = _FLUID
    brain[(np.abs(x) < 0.012) & (np.abs(y) > 0.42)] = _FLUID
    return brain * (1 + 0.04 * _draw_waves(generator, size, 6))


def _add_lesion(brain: FloatArray, distance: FloatArray, hollow: bool) -> FloatArray:
    """Draw a mass; `distance` from its centre, in its radii."""
    if not hollow:
        return np.where(distance < 1, _RIM, brain).astype(np.float32)
    surrounded = np.where(distance < 1.9, np.minimum(brain, _OEDEMA), brain)
    return np.where(distance < 0.7, _CORE, np.where(distance < 1, _RIM, surrounded)).astype(np.float32)


def _draw_waves(generator: np.random.Generator, size: int, num_cells: int) -> FloatArray:
    """Smooth noise of about unit variance, whose waves are 1 / `num_cells` of the picture long; (size, size)."""
    cells = generator.normal(0, 1, (num_cells, num_cells)).astype(np.float32)
    return np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC))


def _blur(grey: FloatArray, sigma: float) -> FloatArray:
    picture = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
