"""Random changes of grey values, as scanners and sequences differ; everything works on 8-bit images."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from training.recipe import Augmentation

GreyArray = npt.NDArray[np.uint8]
_NUM_CONTROL_POINTS = 6
_MIN_NOISE = 0.01  # standard deviation, part of the full scale
_MAX_BIAS = 0.5  # the field runs from about 1 - it to 1 + it
_LOWEST_RESOLUTION = 0.35  # part of the side that is left


def change_intensity(image: GreyArray, settings: Augmentation, generator: np.random.Generator) -> GreyArray:
    """Change the values of an image (H, W) or (H, W, 3) by the chain that `settings` describe."""
    image = draw_curve(settings, generator)[image]
    if generator.random() < settings.bias_field:
        image = _apply_bias_field(image, generator)
    if generator.random() < settings.blur:
        kernel = ImageFilter.GaussianBlur(float(generator.uniform(0.3, 1.5)))
        image = np.asarray(Image.fromarray(image).filter(kernel))
    if generator.random() < settings.low_resolution:
        image = _lower_resolution(image, float(generator.uniform(_LOWEST_RESOLUTION, 0.9)))
    if generator.random() < settings.noise:
        image = add_rician_noise(image, float(generator.uniform(_MIN_NOISE, settings.noise_strength)), generator)
    return image


def draw_curve(settings: Augmentation, generator: np.random.Generator) -> GreyArray:
    """Draw one curve of grey values, (256,) uint8: gamma, brightness, contrast and, now and then, another sequence.

    "Another sequence" is a curve through random points that need not rise (Zhou et al., "Models Genesis", MICCAI 2019,
    non-linear intensity transformation): tissues change their order as between T1, T2 and FLAIR, air stays black.
    """
    values = np.linspace(0, 1, 256)
    if generator.random() < settings.remap:
        heights = np.concatenate([[0.0], generator.uniform(0, 1, _NUM_CONTROL_POINTS - 1)])
        values = np.interp(values, np.linspace(0, 1, _NUM_CONTROL_POINTS), heights)
    values = values ** np.exp(generator.uniform(-1, 1) * np.log1p(settings.gamma))
    gain = 1 + generator.uniform(-1, 1) * settings.contrast
    offset = generator.uniform(-1, 1) * settings.brightness * values.mean()
    lit = values > 0  # the background has no signal to be brightened
    values = np.where(lit, (values - values.mean()) * gain + values.mean() + offset, 0)
    return _to_bytes(np.rint(values.clip(0, 1) * 255))


def add_rician_noise(image: GreyArray, sigma: float, generator: np.random.Generator) -> GreyArray:
    """Add the noise of a magnitude image: |signal + complex Gaussian noise|; `sigma` is a share of full scale.

    Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", Magn. Reson. Med. 34, 1995.
    """
    real, imaginary = generator.standard_normal((2, *image.shape[:2]), np.float32) * np.float32(255 * sigma)
    if image.ndim == 3:
        real, imaginary = real[:, :, None], imaginary[:, :, None]
    return _to_bytes(np.hypot(image + real, imaginary))


def _apply_bias_field(image: GreyArray, generator: np.random.Generator) -> GreyArray:
    """Multiply by a smooth field of second order, as a receive coil's sensitivity does."""
    height, width = image.shape[:2]
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    a, b, c, d, e = generator.uniform(-1, 1, 5).astype(np.float32)
    surface = a * x + b * y + c * x * y + d * (x * x - 0.5) + e * (y * y - 0.5)
    field = 1 + surface / np.abs(surface).max() * np.float32(generator.uniform(0.1, _MAX_BIAS))
    return _to_bytes(image * (field if image.ndim == 2 else field[:, :, None]))


def _to_bytes(values: npt.NDArray[np.floating]) -> GreyArray:
    image: GreyArray = values.clip(0, 255).astype(np.uint8)
    return image


def _lower_resolution(image: GreyArray, factor: float) -> GreyArray:
    picture = Image.fromarray(image)
    small = (max(8, round(picture.width * factor)), max(8, round(picture.height * factor)))
    return np.asarray(picture.resize(small, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR))
