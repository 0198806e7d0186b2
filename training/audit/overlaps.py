"""Copies of one split in another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from training.data.copies import Copies
from training.data.image_tree import TreeFile
from training.data.thumbnails import MIN_CORRELATION

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassOverlap:
    """The images of a class in one split, and how many of them have a copy in the other split."""

    images: int
    with_copy: int


@dataclass(frozen=True)
class Overlap:
    """Images of one split with a copy in another one.

    Attributes:
        with_copy: Mirrored copies counted; `without_mirroring` not.
        same_pixels: Equal after decoding to grey; `same_bytes`: equal files.
    """

    split: str
    other: str
    images: int
    with_copy: int
    without_mirroring: int
    same_pixels: int
    same_bytes: int
    by_class: dict[str, ClassOverlap]


def find_overlaps(files: Sequence[TreeFile], copies: Copies) -> Iterator[Overlap]:
    """Count for each split and each other one the images that have a copy there."""
    names, split_of = np.unique([file.split for file in files], return_inverse=True)
    labels = np.array([file.label for file in files])
    straight = copies.pairs.correlation > MIN_CORRELATION
    reached, directly, by_pixels, by_bytes = (
        _reached_splits(copies, split_of, len(names), chosen)
        for chosen in (np.ones(len(copies.pairs), bool), straight, copies.same_pixels, copies.same_bytes)
    )
    for split, other in permutations(range(len(names)), 2):
        inside = (split_of == split) & copies.usable
        by_class = {
            str(label): ClassOverlap(int(here.sum()), int(reached[here, other].sum()))
            for label in np.unique(labels[inside])
            for here in [inside & (labels == label)]
        }
        yield Overlap(
            split=str(names[split]),
            other=str(names[other]),
            images=int(inside.sum()),
            with_copy=int(reached[inside, other].sum()),
            without_mirroring=int(directly[inside, other].sum()),
            same_pixels=int(by_pixels[inside, other].sum()),
            same_bytes=int(by_bytes[inside, other].sum()),
            by_class=by_class,
        )


def _reached_splits(copies: Copies, split_of: npt.NDArray[np.int64], num_splits: int, chosen: Flags) -> Flags:
    """Flag for each file the splits in which it has a copy, (N, S)."""
    reached = np.zeros((len(copies.facts), num_splits), bool)
    first, second = copies.pairs.first[chosen], copies.pairs.second[chosen]
    reached[first, split_of[second]] = True
    reached[second, split_of[first]] = True
    return reached
