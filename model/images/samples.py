"""Sample values of any depth, kind and range to 8 bits."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.images.decoded import ImageArray

Samples = npt.NDArray[np.generic]

BLENDED = "transparent pixels were laid over black"
_STRIP_PIXELS = 2**20  # converted at a time, to bound the working memory


def scale_samples(
    colors: Sequence[Samples],
    depth: int,
    alpha: Samples | None = None,
    *,
    is_inverted: bool = False,
    is_blended: bool = False,
) -> tuple[ImageArray, tuple[str, ...]]:
    """Scale values to 8 bit without stretching their contrast where their depth is known, and lay them over black.

    Unsigned values are divided by the full scale of the bits in use (4095 for a 12-bit scan in a 16-bit file), so that
    a 16-bit copy of an 8-bit image comes back exact. Signed and real values, which have no full scale, are mapped from
    their own range; where they are not finite, infinity is white and the rest black.

    Args:
        colors: One array (H, W) for each, all of one type.
        depth: Bits of a sample in the file.
        alpha: Opacities, (H, W); those of real numbers end at 1.
        is_inverted: If the least value is white.
        is_blended: If the colours were multiplied by alpha already.

    Returns:
        The image, (H, W) or (H, W, colours), and what was done, in words.
    """
    low, high, is_finite = _find_range(colors)
    num_bits, notes = depth, []
    if colors[0].dtype.kind == "f" or low < 0:
        notes.append("values without a full scale were mapped from their own range to 8 bit")
    else:
        num_bits = _count_bits(depth - (colors[0].dtype.kind == "i"), high)
        low, high = 0, 2**num_bits - 1
        if max(depth, num_bits) > 8 or num_bits < depth:
            notes.append(f"{num_bits}-bit values were scaled to 8 bit")
    if not is_finite:
        notes.append("values that are not finite were shown black or white")
    opacities, opaque = alpha, 0.0
    if alpha is not None:
        opaque = _find_opaque(alpha, depth, num_bits)
        is_opaque = _find_range([alpha])[0] >= opaque
        notes += [] if is_opaque else [BLENDED]
        opacities = None if is_opaque or is_blended else alpha
    height, width = colors[0].shape
    scaled: ImageArray = np.empty((height, width, len(colors)), np.uint8)
    for rows in strips(height, width):
        share = None if opacities is None else _scale(opacities[rows], 0, opaque, 1).clip(0, 1)
        for index, values in enumerate(colors):
            shades = _scale(values[rows], high, low, 255) if is_inverted else _scale(values[rows], low, high, 255)
            scaled[rows, :, index] = np.rint(shades if share is None else shades * share)
    return scaled[:, :, 0] if len(colors) == 1 else scaled, tuple(notes)


def strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows to convert at a time."""
    num_rows = max(1, _STRIP_PIXELS // width)
    return (slice(top, min(top + num_rows, height)) for top in range(0, height, num_rows))


def _count_bits(depth: int, high: float) -> int:
    """Count the bits in use; those of few are all in use."""
    return depth if depth <= 8 else max(8, int(high).bit_length())


def _find_opaque(alpha: Samples, depth: int, num_bits: int) -> float:
    """Find the full scale of opacities, which may have more bits in use than the colours."""
    high = _find_range([alpha])[1]
    if alpha.dtype.kind == "f":
        return max(1.0, high)
    if alpha.dtype.kind == "i":
        return float(2 ** (depth - 1) - 1)
    return float(2 ** max(num_bits, _count_bits(depth, high)) - 1)


def _find_range(channels: Iterable[Samples]) -> tuple[float, float, bool]:
    """Find the least and the greatest finite value, 0 if there is none, and whether all are finite."""
    low, high, is_finite = math.inf, -math.inf, True
    for values in channels:
        for rows in strips(*values.shape):
            part = values[rows]
            if part.dtype.kind == "f":
                known = np.isfinite(part)
                is_finite = is_finite and bool(known.all())
                part = part[known]
            if part.size:
                low, high = min(low, part.min().item()), max(high, part.max().item())
    return (low, high, is_finite) if low <= high else (0.0, 0.0, is_finite)


def _scale(values: Samples, low: float, high: float, top: float) -> npt.NDArray[np.float64]:
    """Map `low` to 0 and `high`, which may be less, to `top`."""
    with np.errstate(all="ignore"):  # of values that are not finite, or whose range has no finite size
        scaled = (values.astype(np.float64) - low) * (top / (high - low) if high != low else 0.0)
    return np.nan_to_num(scaled, copy=False, nan=0.0, posinf=top, neginf=0.0) if values.dtype.kind == "f" else scaled


def copy_pixels(picture: Image.Image, pixels: ImageArray) -> None:
    """Copy an image without a second copy of all of it."""
    for rows in strips(picture.height, picture.width):
        pixels[rows] = np.asarray(picture.crop((0, rows.start, picture.width, rows.stop)))
