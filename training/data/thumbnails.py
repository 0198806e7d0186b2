"""Comparing very many thumbnails with each other and with each other's mirror images, in bounded memory.

    thumbnails -> sketches (perceptual hash) -> proposed pairs -> correlation of thumbnails -> pairs

Pairs are proposed by their low spatial frequencies, as in a perceptual hash (Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1), but by the coefficients themselves instead of
their signs: with the energy of what was left out as one more number, the product of two sketches is an upper bound of
the correlation (Cauchy-Schwarz), so that no pair above the threshold is missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn
from tqdm import tqdm

from model.images.decoded import FloatArray, ImageArray
from training.data.file_facts import THUMBNAIL_SIZE

MIN_CORRELATION = 0.98
# Two pictures of correlation 0.98 differ by 0.2 standard deviations (rms). Two thumbnails rounded to 8 bit differ by
# 0.41 grey levels through the rounding alone: below a deviation of 2 the threshold would judge noise.
MIN_CONTRAST = 2.0
BLOCK_SIZE = 4096  # thumbnails a side: two products of 64 MiB at once
_DECIDED_AT_ONCE = 8192  # pairs: four arrays of 32 MiB
_NUM_FREQUENCIES = 12  # of 32 a direction: the fewest that propose about two pairs for each one found on brain MRI
_ROUNDING = 1e-4  # of products in single precision


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, first < second, in ascending order.

    Attributes:
        first: Index, (P,).
        second: Index, (P,).
        correlation: Of the two as they are, (P,) in [-1, 1].
        mirrored: Of the first and the left-right mirrored second, (P,) in [-1, 1].
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    correlation: FloatArray
    mirrored: FloatArray

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.first)

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Pairs":
        """Take some of the pairs, by a flag for each or by their positions."""
        return Pairs(self.first[chosen], self.second[chosen], self.correlation[chosen], self.mirrored[chosen])


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Put lists of pairs into one, in ascending order."""
    pairs = Pairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.correlation for part in parts]),
        np.concatenate([part.mirrored for part in parts]),
    )
    return pairs.where(np.lexsort((pairs.second, pairs.first)))


def find_similar(thumbnails: ImageArray, block_size: int = BLOCK_SIZE) -> Pairs:
    """Find all pairs whose normalised correlation, as they are or one of them mirrored, is above 0.98.

    A thumbnail without contrast is in no pair: after normalisation it would be noise.

    Args:
        thumbnails: Grey, (N, 32, 32) uint8.
    """
    sketches = _sketch(thumbnails, block_size)
    mirrored = sketches * _mirror_signs()
    starts = range(0, len(thumbnails), block_size)
    blocks = [(row, column) for row in starts for column in starts if row <= column]
    found = [_decide(thumbnails, *np.zeros((2, 0), np.int64))]
    for row, column in tqdm(blocks, "comparing", unit="block", disable=None):
        rows, columns = slice(row, row + block_size), slice(column, column + block_size)
        limit = MIN_CORRELATION - _ROUNDING
        near = sketches[rows] @ sketches[columns].T > limit
        near |= mirrored[rows] @ sketches[columns].T > limit
        first, second = np.nonzero(np.triu(near, 1) if row == column else near)
        for part in range(0, len(first), _DECIDED_AT_ONCE):
            chosen = slice(part, part + _DECIDED_AT_ONCE)
            found.append(_decide(thumbnails, first[chosen] + row, second[chosen] + column))
    return join_pairs(found)


def correlate(thumbnails: ImageArray, others: ImageArray) -> FloatArray:
    """Correlate each of some thumbnails with each of others, or with its mirror image, whichever is more alike.

    Args:
        thumbnails: (N, 32, 32) uint8.
        others: (M, 32, 32) uint8.

    Returns:
        (N, M) in [-1, 1]; 0 for what has no contrast.
    """
    left, right, flipped = (
        _normalize(values).reshape(len(values), -1) for values in (thumbnails, others, others[:, :, ::-1])
    )
    best: FloatArray = np.maximum(left @ right.T, left @ flipped.T)
    return best


def _normalize(thumbnails: ImageArray) -> FloatArray:
    """Shift and scale each to mean 0 and length 1, (N, 32, 32) float32; all 0 where there is too little contrast."""
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    lengths = np.sqrt((values**2).sum(axis=(1, 2), keepdims=True))
    enough = lengths >= MIN_CONTRAST * THUMBNAIL_SIZE
    normalized: FloatArray = np.where(enough, values / np.where(enough, lengths, 1), np.float32(0))
    return normalized


def _sketch(thumbnails: ImageArray, block_size: int) -> FloatArray:
    """Keep the lowest DCT coefficients of each, and the length of the rest, (N, 145) float32."""
    sketches = np.zeros((len(thumbnails), _NUM_FREQUENCIES**2 + 1), np.float32)
    for start in range(0, len(thumbnails), block_size):
        values = _normalize(thumbnails[start : start + block_size])
        low = dctn(values, axes=(1, 2), norm="ortho")[:, :_NUM_FREQUENCIES, :_NUM_FREQUENCIES]
        rest = np.maximum((values**2).sum(axis=(1, 2)) - (low**2).sum(axis=(1, 2)), 0)
        sketches[start : start + block_size] = np.column_stack([low.reshape(len(low), -1), np.sqrt(rest)])
    return sketches


def _mirror_signs() -> FloatArray:
    """Mirroring an image turns the sign of its odd horizontal cosines, and nothing else."""
    signs = np.ones((_NUM_FREQUENCIES, _NUM_FREQUENCIES), np.float32)
    signs[:, 1::2] = -1
    return np.append(signs.ravel(), np.float32(1))


def _decide(thumbnails: ImageArray, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Pairs:
    left, right = _normalize(thumbnails[first]), _normalize(thumbnails[second])
    straight = np.einsum("nij,nij->n", left, right)
    mirrored = np.einsum("nij,nij->n", left, right[:, :, ::-1])
    return Pairs(first, second, straight, mirrored).where(np.maximum(straight, mirrored) > MIN_CORRELATION)
