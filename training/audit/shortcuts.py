"""How much a file gives its class away before anyone looks at the brain.

Each property is scored alone: guess the most frequent class among the other images with the same value (numbers: in
the same sixteenth of all values). The guess should hardly beat always naming the largest class.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.data.file_facts import FileFacts

_NUM_FOLDS = 5
_NUM_BINS = 16
_MAX_VALUES_SHOWN = 6
_PERCENTILES = (5, 50, 95)
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shortcut:
    """One property of the files and how far it predicts the class.

    Attributes:
        accuracy: Of guessing the class from this property alone, cross-validated over whole groups.
        percent: Whether `by_class` holds shares of the class's images, else percentiles in the property's own unit.
        by_class: Class -> value or percentile -> number.
    """

    name: str
    accuracy: float
    percent: bool
    by_class: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Shortcuts:
    """All properties, and the accuracy of always naming the largest class."""

    majority: float
    found: tuple[Shortcut, ...]


def measure_shortcuts(facts: Sequence[FileFacts], labels: Sequence[str], groups: Sequence[str]) -> Shortcuts:
    """Measure how far colour mode, encoding, size, brightness and border predict the class.

    Args:
        facts: Of usable images.
        labels: Class of each.
        groups: Group of each; copies share one, and are never counted and guessed at once.
    """
    truth = np.unique(labels, return_inverse=True)[1]
    folds = np.unique(groups, return_inverse=True)[1] % _NUM_FOLDS
    found = [_score_values(name, [value(each) for each in facts], labels, truth, folds) for name, value in _VALUES]
    found += [
        _score_numbers(name, np.array([number(each) for each in facts]), labels, truth, folds)
        for name, number in _NUMBERS
    ]
    majority = max(Counter(labels).values()) / len(labels)
    return Shortcuts(majority, tuple(sorted(found, key=lambda each: -each.accuracy)))


def guess_accuracy(values: Indices, truth: Indices, folds: Indices) -> float:
    """Look up each value's most frequent class in the other folds, and count how often it is right.

    Args:
        values: (N,), 0 to V - 1; one that the other folds lack is guessed as their largest class.
        truth: Class of each, (N,).
        folds: Fold of each, (N,).
    """
    right = 0
    for fold in np.unique(folds):
        here = folds == fold
        counts = np.zeros((values.max() + 1, truth.max() + 1), int)
        np.add.at(counts, (values[~here], truth[~here]), 1)
        guesses = np.where(counts.any(axis=1), counts.argmax(axis=1), counts.sum(axis=0).argmax())
        right += int((guesses[values[here]] == truth[here]).sum())
    return right / len(truth)


def border_mean(facts: FileFacts) -> float:
    """Average the outermost 1/32 of the image on each side, in grey levels."""
    thumbnail = np.array(facts.thumbnail, float)
    inner = thumbnail[1:-1, 1:-1]
    return float((thumbnail.sum() - inner.sum()) / (thumbnail.size - inner.size))


def _score_values(name: str, values: Sequence[str], labels: Sequence[str], truth: Indices, folds: Indices) -> Shortcut:
    codes = np.unique(values, return_inverse=True)[1]
    pairs, sizes = Counter(zip(labels, values, strict=True)), Counter(labels)
    shown = [value for value, _ in Counter(values).most_common(_MAX_VALUES_SHOWN)]
    by_class = {label: {value: pairs[label, value] / sizes[label] for value in shown} for label in sorted(sizes)}
    return Shortcut(name, guess_accuracy(codes, truth, folds), True, by_class)


def _score_numbers(
    name: str, numbers: npt.NDArray[np.float64], labels: Sequence[str], truth: Indices, folds: Indices
) -> Shortcut:
    edges = np.quantile(numbers, np.arange(1, _NUM_BINS) / _NUM_BINS)
    codes = np.searchsorted(edges, numbers, side="right")
    by_class = {
        str(label): {
            f"{percentile} %": float(np.percentile(numbers[truth == index], percentile)) for percentile in _PERCENTILES
        }
        for index, label in enumerate(np.unique(labels))
    }
    return Shortcut(name, guess_accuracy(codes, truth, folds), False, by_class)


_VALUES: tuple[tuple[str, Callable[[FileFacts], str]], ...] = (
    ("colour mode", lambda facts: facts.mode),
    ("size", lambda facts: f"{facts.width} x {facts.height}"),
    ("encoding", lambda facts: f"{facts.format} {facts.quality}" if facts.quality else facts.format),
)
_NUMBERS: tuple[tuple[str, Callable[[FileFacts], float]], ...] = (
    ("width / height", lambda facts: facts.width / facts.height),
    ("mean grey level", lambda facts: float(np.mean(np.array(facts.thumbnail, float)))),
    ("border grey level", border_mean),
)
