"""Grey values and sharpness of other scanners and sequences; images are grey, (H, W) uint8."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from training.data.intensity import GreyArray, add_rician_noise

_AIR = 10  # grey values up to it are background, with the noise of its JPEG
_REFERENCE_SIDE = 256  # pixels of a usual acquisition matrix, in which blur is measured
_BIAS_ORDER = 3
_MIN_SIDE_PIXELS = 8

# Where grey values of T1 go, in units such that the brain, white and grey matter together, has `_BRAIN`: air and
# bone are then at 0, CSF near 0.2, grey matter near 0.45, white matter near 0.6, fat and enhancing tumour about 1.
_BRAIN = 0.53
_T2_CURVE = ((0, 0.08, 0.2, 0.45, 0.6, 1), (0, 0.05, 1, 0.6, 0.4, 0.7))  # CSF brightest, white matter below grey
_FLAIR_CURVE = ((0, 0.2, 0.45, 0.6, 1), (0, 0.08, 0.65, 0.45, 0.9))  # as T2, but with the signal of CSF suppressed


def remap_to_t2(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Re-order the tissues as T2 weighting does: dark fluid turns bright, white matter darker than grey.

    A curve of the grey value alone cannot tell an oedema (bright in T2) from tissue of the same T1 value, nor fluid
    from the partial volume at the edge of the head, which gets a bright rim. The order of tissues is right, their
    texture is not: a test with unknown contrast, no synthesis of T2.

    Args:
        severity: Part of the way from the image's own values, 0, to those of the curve, 1.
    """
    return _remap(image, severity, *_T2_CURVE)


def remap_to_flair(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Re-order the tissues as FLAIR does: `remap_to_t2`, but fluid stays dark; the same limits."""
    return _remap(image, severity, *_FLAIR_CURVE)


def change_gamma(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Raise values in [0, 1] to the power 2^severity; -1 is the square root, 1 the square."""
    values = (np.arange(256) / 255) ** (2.0**severity)
    curve: GreyArray = np.rint(values * 255).astype(np.uint8)
    return curve[image]


def add_bias_field(image: GreyArray, severity: float, generator: np.random.Generator) -> GreyArray:
    """Multiply by a smooth random field exp(p(x, y)), as uneven coils do; the brain's value stays.

    The model of Van Leemput et al., "Automated model-based bias field correction of MR images of the brain",
    IEEE Trans. Medical Imaging 1999, with a polynomial p of third order.

    Args:
        severity: The largest |p|; 0.5 is a gain from 0.6 to 1.6.
    """
    height, width = image.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    powers = [(i, j) for i in range(_BIAS_ORDER + 1) for j in range(_BIAS_ORDER + 1 - i) if i + j > 0]
    surface = sum(
        weight * y**i * x**j for weight, (i, j) in zip(generator.normal(size=len(powers)), powers, strict=True)
    )
    changed: npt.NDArray[np.float64] = image * np.exp(severity * surface / np.abs(surface).max())
    gain = find_brain_level(image) / find_brain_level(changed)
    return np.asarray(np.rint((changed * gain).clip(0, 255)), np.uint8)


def add_noise(image: GreyArray, severity: float, generator: np.random.Generator) -> GreyArray:
    """Add Rician noise, sigma `severity` of the brain's value: 1 / its signal-to-noise ratio."""
    return add_rician_noise(image, severity * find_brain_level(image) / 255, generator)


def blur(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Blur with a Gaussian of standard deviation `severity`, in 1/256 of the shorter side."""
    radius = severity * min(image.shape) / _REFERENCE_SIDE
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def lower_resolution(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Reduce the sides by 2^severity and enlarge the result again."""
    picture = Image.fromarray(image)
    width, height = (max(_MIN_SIDE_PIXELS, round(side / 2**severity)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def compress(image: GreyArray, severity: float, _generator: np.random.Generator) -> GreyArray:
    """Write as JPEG of quality 100 - severity, and read again."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=round(100 - severity))
    return np.asarray(Image.open(buffer))


def find_brain_level(image: npt.NDArray[np.uint8] | npt.NDArray[np.float64]) -> float:
    """Find the usual value of the brain: the median in the middle of the image without air; 255 if all is air."""
    height, width = image.shape
    middle = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    tissue = middle[middle > _AIR]
    return float(np.median(tissue)) if tissue.size else 255.0


def _remap(image: GreyArray, severity: float, known: tuple[float, ...], wanted: tuple[float, ...]) -> GreyArray:
    unit = find_brain_level(image) / _BRAIN
    values = np.arange(256, dtype=np.float64)
    remapped = unit * np.interp(values / unit, known, wanted)
    curve: GreyArray = np.rint((values + severity * (remapped - values)).clip(0, 255)).astype(np.uint8)
    return curve[image]
