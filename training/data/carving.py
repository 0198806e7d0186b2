"""Scans into parts of whole groups: by fractions, or in turns to be tested on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.data.scans import Scan
from training.errors import DataError

_FRACTIONS = {"train": 0.76, "validation": 0.15, "calibration": 0.09}  # of what a fold leaves


@dataclass(frozen=True)
class Fold:
    """One of `count` parts that take turns to be tested on; `number` is counted from 1."""

    number: int
    count: int


def carve(scans: Sequence[Scan], fractions: Mapping[str, float], seed: int) -> dict[str, tuple[Scan, ...]]:
    """Divide scans into parts of whole groups with about the same mixture of classes.

    Groups go, large ones first and in random order among equals, to the part that lacks their classes most.

    Args:
        fractions: Of every class, by part; they sum to 1.

    Returns:
        The scans of each part, in the order they came.
    """
    members: dict[str, list[Scan]] = {}
    for scan in scans:
        members.setdefault(scan.group, []).append(scan)
    totals = Counter(scan.label for scan in scans)
    taken: dict[str, Counter[int]] = {part: Counter() for part in fractions}
    part_of: dict[str, str] = {}
    for group in _shuffle_by_size(members, seed):
        counts = Counter(scan.label for scan in members[group])
        lacking = {
            part: sum(count * (1 - taken[part][label] / (fraction * totals[label])) for label, count in counts.items())
            for part, fraction in fractions.items()
        }
        part_of[group] = max(lacking, key=lacking.__getitem__)
        taken[part_of[group]] += counts
    return {part: tuple(scan for scan in scans if part_of[scan.group] == part) for part in fractions}


def carve_fold(scans: Sequence[Scan], fold: Fold, seed: int) -> dict[str, tuple[Scan, ...]]:
    """Take one of the equal parts of whole groups to test on, and carve the others.

    Raises:
        DataError: If there are fewer groups than parts.
    """
    labels, groups = [scan.label for scan in scans], [scan.group for scan in scans]
    if len(set(groups)) < fold.count:
        raise DataError(f"too few groups: {fold.count} folds of {len(set(groups))} groups")
    folds = StratifiedGroupKFold(fold.count, shuffle=True, random_state=seed)
    rest, test = list(folds.split(labels, labels, groups))[fold.number - 1]
    parts = carve([scans[index] for index in rest], _FRACTIONS, seed)
    return {**parts, "test": tuple(scans[index] for index in test)}


def _shuffle_by_size(members: Mapping[str, Sequence[Scan]], seed: int) -> list[str]:
    names = sorted(members)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    return sorted(shuffled, key=lambda name: -len(members[name]))
