from pathlib import Path

import numpy as np
import pytest

from training.data.carving import Fold, carve, carve_fold
from training.data.scans import Scan
from training.errors import DataError

FRACTIONS = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}


def _groups(scans):
    return {scan.group for scan in scans}


def _scans(seed):
    generator = np.random.default_rng(seed)
    sizes = generator.geometric(0.15, 300)
    return [
        Scan(Path(f"{group}-{index}"), group % 4, f"g{group}")
        for group, size in enumerate(sizes)
        for index in range(size)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_carved_parts_are_whole_stratified_and_seeded(seed):
    scans = _scans(seed)
    parts = carve(scans, FRACTIONS, seed)
    assert sum(len(part) for part in parts.values()) == len(scans)
    assert len(set.union(*map(_groups, parts.values()))) == sum(len(_groups(part)) for part in parts.values())
    for label in range(4):
        total = sum(scan.label == label for scan in scans)
        for name, fraction in FRACTIONS.items():
            assert sum(scan.label == label for scan in parts[name]) / total == pytest.approx(fraction, abs=0.03)
    assert carve(scans, FRACTIONS, seed) == parts
    assert carve(scans, FRACTIONS, seed + 1) != parts


@pytest.mark.parametrize("count", [2, 5])
def test_every_scan_is_tested_once_by_folds_that_share_no_group(count):
    scans = _scans(0)
    folds = [carve_fold(scans, Fold(number, count), seed=3) for number in range(1, count + 1)]
    assert sorted(str(scan.path) for fold in folds for scan in fold["test"]) == sorted(str(scan.path) for scan in scans)
    for fold in folds:
        assert sum(len(part) for part in fold.values()) == len(scans)
        assert len(set.union(*map(_groups, fold.values()))) == sum(len(_groups(part)) for part in fold.values())


def test_fewer_groups_than_folds_are_an_error():
    with pytest.raises(DataError, match="5 folds of 3 groups"):
        carve_fold([Scan(Path(f"{group}"), 0, f"g{group}") for group in range(3)], Fold(1, 5), seed=0)
