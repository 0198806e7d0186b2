"""Random changes to a training image, after the recipe."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from training.data.boxes import Box
from training.data.intensity import GreyArray, change_intensity
from training.recipe import Augmentation

_MAX_ERASED = 0.2  # part of the area


@dataclass(frozen=True)
class Pose:
    """Source of each point of the augmented image: matrix @ (x, y, 1), both in [0, 1]."""

    matrix: tuple[float, float, float, float, float, float]

    def after(self, scale_x: float, scale_y: float, shift_x: float, shift_y: float) -> "Pose":
        """Look up (scale_x x + shift_x, scale_y y + shift_y) first, and that point by this map."""
        a, b, c, d, e, f = self.matrix
        return Pose(
            (
                *(a * scale_x, b * scale_y, a * shift_x + b * shift_y + c),
                *(d * scale_x, e * scale_y, d * shift_x + e * shift_y + f),
            )
        )

    def move_box(self, box: Box) -> Box:
        """Bound the corners of a box of the original in the augmented image, clipped to it."""
        a, b, c, d, e, f = self.matrix
        determinant = a * e - b * d
        corners = [(x - c, y - f) for x in (box.x0, box.x1) for y in (box.y0, box.y1)]
        xs = [min(max((e * x - b * y) / determinant, 0.0), 1.0) for x, y in corners]
        ys = [min(max((a * y - d * x) / determinant, 0.0), 1.0) for x, y in corners]
        return Box(min(xs), min(ys), max(xs), max(ys))


def augment(image: GreyArray, settings: Augmentation, generator: np.random.Generator) -> tuple[GreyArray, Pose]:
    """Turn, shift, scale, mirror and re-light an image (S, S) or (S, S, 3) uint8; return it with its new pose."""
    pose = draw_pose(settings, generator)
    image = _transform(image, pose)
    image = change_intensity(image, settings, generator)
    if generator.random() < settings.erasing:
        image = _erase(image, generator)
    return image, pose


def draw_pose(settings: Augmentation, generator: np.random.Generator) -> Pose:
    """Draw a random affine map about the image's centre."""
    angle, shear = np.radians(generator.uniform(-1, 1, 2) * (settings.rotation, settings.shear))
    scale_x, scale_y = 1 / (
        1 + generator.uniform(-1, 1) * settings.zoom + generator.uniform(-1, 1, 2) * settings.aspect
    )
    mirror = -1.0 if generator.random() < settings.horizontal_flip else 1.0
    shift_x, shift_y = generator.uniform(-1, 1, 2) * settings.translation
    cosine, sine, slant = math.cos(angle), math.sin(angle), math.tan(shear)
    a, b = mirror * scale_x * cosine, mirror * scale_x * (slant * cosine - sine)
    d, e = scale_y * sine, scale_y * (slant * sine + cosine)
    c, f = 0.5 + shift_x - 0.5 * (a + b), 0.5 + shift_y - 0.5 * (d + e)
    pose = Pose((a, b, c, d, e, f))
    if settings.crop:
        pose = pose.after(*_draw_crop(settings.crop, generator))
    if settings.vertical_flip and generator.random() < settings.vertical_flip:
        pose = pose.after(1.0, -1.0, 0.0, 1.0)
    return pose


def _draw_crop(largest_loss: float, generator: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw a part of the image: width, height, left and top, parts of the sides; cut to the image.

    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    """
    area = generator.uniform(1 - largest_loss, 1)
    ratio = math.exp(generator.uniform(-1, 1) * math.log(4 / 3))
    width, height = min(math.sqrt(area * ratio), 1.0), min(math.sqrt(area / ratio), 1.0)
    left, top = generator.uniform(0, 1, 2) * (1 - width, 1 - height)
    return width, height, float(left), float(top)


def _transform(image: GreyArray, pose: Pose) -> GreyArray:
    height, width = image.shape[:2]
    a, b, c, d, e, f = pose.matrix
    pixels = (a, b * width / height, c * width, d * height / width, e, f * height)
    picture = Image.fromarray(image)
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, pixels, Image.Resampling.BILINEAR))


def _erase(image: GreyArray, generator: np.random.Generator) -> GreyArray:
    """Blank a rectangle: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020."""
    height, width = image.shape[:2]
    area, ratio = generator.uniform(0.02, _MAX_ERASED), math.exp(generator.uniform(-1, 1))
    rows, columns = round(height * math.sqrt(area * ratio)), round(width * math.sqrt(area / ratio))
    top, left = generator.integers(0, max(1, height - rows)), generator.integers(0, max(1, width - columns))
    changed = image.copy()
    changed[top : top + rows, left : left + columns] = generator.integers(0, 256)
    return changed
