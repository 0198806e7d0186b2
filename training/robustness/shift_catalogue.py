"""The simulated shifts and their severities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.images.decoded import ImageArray
from training.data.intensity import GreyArray
from training.robustness import framing_shifts, intensity_shifts, shortcut_shifts

Transform = Callable[[ImageArray, float, np.random.Generator], ImageArray]


@dataclass(frozen=True)
class Shift:
    """A change that another hospital may bring, or one that must not matter.

    Attributes:
        unit: Of the severity; at 0 the image stays as it is.
        shortcut: Whether the brain is unchanged, so that the prediction should be.
        transform: From an image (H, W, 3) uint8, a severity and a generator to an image; changes nothing in place.
    """

    name: str
    severities: tuple[float, ...]
    unit: str
    transform: Transform
    shortcut: bool = False

    def apply(self, image: ImageArray, severity: float, seed: int) -> ImageArray:
        """Change an image (H, W, 3) uint8; the seed decides how, for all severities alike."""
        return self.transform(image, severity, np.random.default_rng(seed)) if severity else image


def _on_grey(transform: Callable[[GreyArray, float, np.random.Generator], GreyArray]) -> Transform:
    """Apply a transform of grey values (H, W) to the luma of a picture."""

    def apply(image: ImageArray, severity: float, generator: np.random.Generator) -> ImageArray:
        grey = np.asarray(Image.fromarray(image).convert("L"))
        return np.repeat(transform(grey, severity, generator)[:, :, None], 3, axis=2)

    return apply


UNCHANGED = Shift("none", (0.0,), "", lambda image, _severity, _generator: image)
SHIFTS = (
    Shift("t2_contrast", (0.5, 1.0), "part of the way to T2", _on_grey(intensity_shifts.remap_to_t2)),
    Shift("flair_contrast", (0.5, 1.0), "part of the way to FLAIR", _on_grey(intensity_shifts.remap_to_flair)),
    Shift("gamma", (-1.0, 1.0), "log2 of the exponent", _on_grey(intensity_shifts.change_gamma)),
    Shift("bias_field", (0.3, 0.6), "largest |log gain|", _on_grey(intensity_shifts.add_bias_field)),
    Shift("rician_noise", (0.1, 0.2, 0.4), "sigma / brain", _on_grey(intensity_shifts.add_noise)),
    Shift("blur", (1.0, 2.0, 4.0), "sigma in 1/256 of the side", _on_grey(intensity_shifts.blur)),
    Shift("low_resolution", (1.0, 2.0, 3.0), "log2 of the reduction", _on_grey(intensity_shifts.lower_resolution)),
    Shift("crop", (0.1, 0.2), "part of the side cut off", _on_grey(framing_shifts.crop)),
    Shift("zoom_out", (0.15, 0.3), "part of the side padded", _on_grey(framing_shifts.zoom_out)),
    Shift("skull_stripping", (1.0,), "part taken away", _on_grey(framing_shifts.strip_skull)),
    Shift("rotation", (15.0, 45.0, 90.0), "degrees", _on_grey(framing_shifts.rotate)),
    Shift("jpeg_quality", (70.0, 90.0), "below 100", _on_grey(intensity_shifts.compress)),
    Shift("border_masked", (0.03,), "part of the side", shortcut_shifts.mask_border, shortcut=True),
    Shift("color_mode", (1.0,), "changed", shortcut_shifts.change_color_mode, shortcut=True),
    Shift("size", (-1.0, 1.0), "log2 of the factor", shortcut_shifts.change_size, shortcut=True),
    Shift("jpeg_mild", (25.0,), "below 100", _on_grey(intensity_shifts.compress), shortcut=True),
    Shift("mirrored", (1.0,), "changed", shortcut_shifts.mirror, shortcut=True),
)
