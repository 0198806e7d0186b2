"""Counts, sizes and brightness of a folder of labelled images, by split and class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import TypeAdapter

from training.data.image_tree import TreeFile, find_files
from training.data.reading import read_image, read_in_threads
from training.errors import DataError, ImageFileError

NUM_BINS = 64  # of 256 grey levels
_NUM_COMMON_SIZES = 8

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """Spread of numbers."""

    minimum: float
    median: float
    mean: float
    maximum: float
    deviation: float


@dataclass(frozen=True)
class ClassStatistics:
    """The images of one class in one split.

    Attributes:
        share: Of the split's images.
        weight: For a loss in which all classes count alike: N / (K n).
        brightness: Of the images' mean grey levels, 0 to 255.
        contrast: Of the standard deviations of grey levels within an image.
        histogram: Part of the pixels in each of `NUM_BINS` equal ranges of grey levels; each image counts the same.
    """

    label: str
    images: int
    share: float
    weight: float
    width: Spread
    height: Spread
    brightness: Spread
    contrast: Spread
    histogram: tuple[float, ...]


@dataclass(frozen=True)
class SizeCount:
    """Number of images of a size, pixels."""

    width: int
    height: int
    images: int


@dataclass(frozen=True)
class SplitStatistics:
    """The images of one split.

    Attributes:
        imbalance_ratio: Images of the largest class for each one of the smallest.
        evenness: Entropy of the classes' shares over that of equal shares; 1 where all classes are alike.
        sizes: The most common of `num_sizes`, most common first.
    """

    name: str
    images: int
    imbalance_ratio: float
    evenness: float
    classes: tuple[ClassStatistics, ...]
    sizes: tuple[SizeCount, ...]
    num_sizes: int
    formats: dict[str, int]


@dataclass(frozen=True)
class Statistics:
    """The contents of a folder.

    Attributes:
        unusable: Why files are no usable images, by their names.
        files: Names of the images by split and class, for samples in a report.
    """

    root: Path
    splits: tuple[SplitStatistics, ...]
    unusable: dict[str, str]
    files: dict[tuple[str, str], tuple[str, ...]]

    def describe(self) -> dict[str, Any]:
        """Show everything but the names of the images as plain types."""
        described: dict[str, Any] = TypeAdapter(Statistics).dump_python(self, mode="json", exclude={"files", "root"})
        return described


@dataclass(frozen=True)
class _Measured:
    file: TreeFile
    problem: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    histogram: Counts | None = None


def measure_statistics(root: Path, skip: Path | None = None) -> Statistics:
    """Read every image of SPLIT/CLASS/ or CLASS/ once, except in the folder `skip`.

    Raises:
        DataError: If there is no such folder, or no usable image in it.
    """
    files = find_files(root, skip)
    measured = read_in_threads(_measure, files, "reading", "file")
    usable = [each for each in measured if not each.problem]
    if not usable:
        raise DataError(f"no image in {root} can be used; the first file: {measured[0].problem}")
    names = sorted({each.file.split for each in usable}, key=lambda name: (name != "Training", name))
    splits = tuple(_sum_up(name, [each for each in usable if each.file.split == name]) for name in names)
    listed: dict[tuple[str, str], tuple[str, ...]] = {
        (split.name, found.label): tuple(
            each.file.name for each in usable if (each.file.split, each.file.label) == (split.name, found.label)
        )
        for split in splits
        for found in split.classes
    }
    return Statistics(root, splits, {each.file.name: each.problem for each in measured if each.problem}, listed)


def format_statistics(statistics: Statistics) -> str:
    """Write a row a class for a terminal."""
    rows = []
    for split in statistics.splits:
        rows.append(
            f"{split.name or 'all'}: {split.images} images, "
            f"the largest class {split.imbalance_ratio:.2f} times the smallest"
        )
        rows += [
            f"  {found.label:<16} {found.images:>7} {100 * found.share:>6.1f} %   "
            f"{found.width.median:.0f} x {found.height.median:.0f} px, "
            f"brightness {found.brightness.mean:.0f} +- {found.brightness.deviation:.0f}"
            for found in split.classes
        ]
    if statistics.unusable:
        rows.append(f"{len(statistics.unusable)} files cannot be used")
    return "\n".join(rows)


def _measure(file: TreeFile) -> _Measured:
    if file.problem:
        return _Measured(file, file.problem)
    try:
        decoded = read_image(file.path)
    except ImageFileError as error:
        return _Measured(file, error.problem)
    grey = np.asarray(Image.fromarray(decoded.image).convert("L"))
    return _Measured(
        file=file,
        format=decoded.format,
        width=grey.shape[1],
        height=grey.shape[0],
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        histogram=np.bincount(grey.ravel() // (256 // NUM_BINS), minlength=NUM_BINS),
    )


def _sum_up(name: str, measured: Sequence[_Measured]) -> SplitStatistics:
    labels = sorted({each.file.label for each in measured})
    counts = np.array([sum(each.file.label == label for each in measured) for label in labels])
    shares = counts / counts.sum()
    sizes = Counter((each.width, each.height) for each in measured)
    return SplitStatistics(
        name=name,
        images=len(measured),
        imbalance_ratio=float(counts.max() / counts.min()),
        evenness=float(-(shares * np.log(shares)).sum() / np.log(len(labels))) if len(labels) > 1 else 1.0,
        classes=tuple(
            _describe_class(label, [each for each in measured if each.file.label == label], len(measured), len(labels))
            for label in labels
        ),
        sizes=tuple(SizeCount(*size, count) for size, count in sizes.most_common(_NUM_COMMON_SIZES)),
        num_sizes=len(sizes),
        formats=dict(Counter(each.format for each in measured).most_common()),
    )


def _describe_class(label: str, members: Sequence[_Measured], num_images: int, num_classes: int) -> ClassStatistics:
    histograms = [each.histogram / each.histogram.sum() for each in members if each.histogram is not None]
    return ClassStatistics(
        label=label,
        images=len(members),
        share=len(members) / num_images,
        weight=num_images / (num_classes * len(members)),
        width=_spread(each.width for each in members),
        height=_spread(each.height for each in members),
        brightness=_spread(each.brightness for each in members),
        contrast=_spread(each.contrast for each in members),
        histogram=tuple(np.mean(histograms, axis=0).round(6).tolist()),
    )


def _spread(numbers: Iterable[float]) -> Spread:
    values = np.fromiter(numbers, np.float64)
    statistics = (values.min(), np.median(values), values.mean(), values.max(), values.std())
    return Spread(*(round(float(value), 3) for value in statistics))
