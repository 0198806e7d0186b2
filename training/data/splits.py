"""Parts that share no group: for training, validation, calibration and tests.

official    DIR/Training is carved into train, validation and calibration; DIR/Testing is tested on, whole and
            without what has a copy in Training
grouped     all images are divided by whole groups, or as a table says; the default where a table fixes a split, and in
            DIR/CLASS/... without Training and Testing
common      trained on what lies in DIR/Training and in the training part of a table; tested on all of the above,
            none of which such weights have seen
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.data.class_map import ClassMapping, map_classes
from training.data.copies import find_copies
from training.data.groups import GroupRow, load_groups
from training.data.image_tree import find_files
from training.data.scans import TESTING, TRAINING, Scan, find_scans
from training.data.tables import PARTS
from training.errors import DataError

SplitName = Literal["official", "grouped", "common"]

logger = logging.getLogger(__name__)

# Parts of what is carved; a fixed split in a table has its own.
OFFICIAL_FRACTIONS = {"train": 0.78, "validation": 0.14, "calibration": 0.08}
FOLD_FRACTIONS = {"train": 0.76, "validation": 0.15, "calibration": 0.09}  # of what a fold leaves
GROUPED_FRACTIONS = {"train": 0.60, "validation": 0.12, "calibration": 0.08, "test": 0.20}


@dataclass(frozen=True)
class TestSplit:
    """Scans to report on: `official_test`, `copy_free_test` or `grouped_test`."""

    __test__ = False  # no test class, whatever pytest thinks of its name

    name: str
    scans: tuple[Scan, ...]


@dataclass(frozen=True)
class Fold:
    """One of `count` parts that take turns to be tested on; `number` is counted from 1."""

    number: int
    count: int


@dataclass(frozen=True)
class DataSplits:
    """Parts that share no group, by `classes`; `class_map` holds the class of each folder where they differ."""

    name: SplitName
    classes: tuple[str, ...]
    train: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    calibration: tuple[Scan, ...]
    tests: tuple[TestSplit, ...]
    class_map: dict[str, str] = field(default_factory=dict)

    def learn_validation(self) -> "DataSplits":
        """Move the validation part into the training part."""
        return replace(self, train=(*self.train, *self.validation), validation=())

    def relabel(self, mapping: ClassMapping) -> "DataSplits":
        """Replace the labels of folders by those of the classes."""
        return replace(
            self,
            classes=mapping.classes,
            train=mapping.relabel(self.train),
            validation=mapping.relabel(self.validation),
            calibration=mapping.relabel(self.calibration),
            tests=tuple(replace(test, scans=mapping.relabel(test.scans)) for test in self.tests),
            class_map=mapping.used,
        )


def split_data(
    root: Path,
    name: SplitName | None,
    groups: Path | None,
    seed: int,
    fold: Fold | None = None,
    class_map: Mapping[str, str] = MappingProxyType({}),
) -> DataSplits:
    """Divide the scans of a data folder.

    Args:
        root: Holds Training/CLASS/ and perhaps Testing/CLASS/, or CLASS/ alone.
        name: By default grouped where the table fixes a split or the folder has none, else official.
        groups: A table of groups, see `load_groups`; without one the groups are found by `find_copies`.
        seed: Decides who goes where, unless the table does.
        fold: Of a grouped split, the part to test on. A fixed test part in the table is then left out.
        class_map: Classes by those of the folders; it does not change who goes where.

    Raises:
        DataError: If the folder or the table is not as expected, or a part lacks a class.
    """
    folder = _read_folder(root, None, groups)
    name = name or ("grouped" if folder.fixed or not folder.has_splits else "official")
    parts = _divide(folder, name, fold, seed)
    tests = () if name == "grouped" else _official_tests(folder)
    if name != "official":
        tests = (*tests, TestSplit("grouped_test", parts["test"]))
    for part, members in parts.items():
        _check_classes(part, members, folder.classes)
    splits = DataSplits(name, folder.classes, parts["train"], parts["validation"], parts["calibration"], tests)
    return splits.relabel(map_classes(folder.classes, class_map)) if class_map else splits


def find_test_splits(
    root: Path, classes: Sequence[str], groups: Path | None, class_map: Mapping[str, str] = MappingProxyType({})
) -> tuple[TestSplit, ...]:
    """Find the splits of a data folder to report on; the grouped test is there only where a table fixes a split.

    Args:
        classes: In the order of the labels.
        class_map: Classes by those of the folders, where they have other names.

    Raises:
        DataError: If there is none, or the folder or the table is not as expected.
    """
    folder = _read_folder(root, None if class_map else classes, groups)
    tests = [*_official_tests(folder)]
    if folder.fixed and folder.fixed["test"]:
        tests.append(TestSplit("grouped_test", folder.fixed["test"]))
    if not tests:
        raise DataError(f"nothing to report on in {root}: expected {TESTING}/CLASS/, or a table with a fixed split")
    if class_map:
        mapping = map_classes(folder.classes, class_map, classes)
        tests = [replace(test, scans=mapping.relabel(test.scans)) for test in tests]
    return tuple(tests)


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


def _fold_parts(scans: Sequence[Scan], fold: Fold, seed: int) -> dict[str, tuple[Scan, ...]]:
    labels, groups = [scan.label for scan in scans], [scan.group for scan in scans]
    if len(set(groups)) < fold.count:
        raise DataError(f"too few groups: {fold.count} folds of {len(set(groups))} groups")
    folds = StratifiedGroupKFold(fold.count, shuffle=True, random_state=seed)
    rest, test = list(folds.split(labels, labels, groups))[fold.number - 1]
    parts = carve([scans[index] for index in rest], FOLD_FRACTIONS, seed)
    return {**parts, "test": tuple(scans[index] for index in test)}


@dataclass(frozen=True)
class _Folder:
    """All scans with their groups, from a table if there is one.

    Attributes:
        fixed: The parts of the table, where it fixes a split.
        has_splits: Whether there are Training and perhaps Testing; else all scans are in `training`.
    """

    classes: tuple[str, ...]
    training: tuple[Scan, ...]
    testing: tuple[Scan, ...]
    table: Path | None
    fixed: dict[str, tuple[Scan, ...]] | None
    has_splits: bool

    @property
    def scans(self) -> tuple[Scan, ...]:
        return (*self.training, *self.testing)


def _read_folder(root: Path, classes: Sequence[str] | None, groups: Path | None) -> _Folder:
    has_splits = _has_splits(root)
    folder = find_scans(root, TRAINING if has_splits else "", classes)
    testing = find_scans(root, TESTING, folder.classes).scans if has_splits and (root / TESTING).exists() else ()
    scans, num_training = (*folder.scans, *testing), len(folder.scans)
    rows = _find_rows(root, scans, groups) if groups else None
    names = [row.group for row in rows] if rows else find_copies([scan.path for scan in scans]).groups
    scans = tuple(replace(scan, group=name) for scan, name in zip(scans, names, strict=True))
    fixed = None
    if rows and any(row.split for row in rows):
        places = list(zip(scans, rows, strict=True))
        fixed = {part: tuple(scan for scan, row in places if row.split == part) for part in PARTS}
    return _Folder(folder.classes, scans[:num_training], scans[num_training:], groups, fixed, has_splits)


def _has_splits(root: Path) -> bool:
    if (root / TRAINING).is_dir():
        return True
    splits = sorted({file.split for file in find_files(root)} - {""})
    if splits:
        raise DataError(f"expected {root}/{TRAINING}/CLASS/ or {root}/CLASS/; found the splits {', '.join(splits)}")
    return False


def _find_rows(root: Path, scans: Sequence[Scan], groups: Path) -> list[GroupRow]:
    rows, keys = load_groups(groups, root), [scan.path.relative_to(root).as_posix() for scan in scans]
    missing = [key for key in keys if key not in rows]
    if missing:
        raise DataError(f"the table of groups lacks {len(missing)} of {len(keys)} images, the first is {missing[0]}")
    others = sorted((rows[name].number, name) for name in rows.keys() - set(keys))
    if others:
        raise DataError(f"{groups}, row {others[0][0]}: {others[0][1]} is no scan to train or to test on")
    return [rows[key] for key in keys]


def _divide(folder: _Folder, name: SplitName, fold: Fold | None, seed: int) -> Mapping[str, tuple[Scan, ...]]:
    if name != "grouped" and not folder.has_splits:
        raise DataError(f"the {name} split needs {TRAINING}/CLASS/; found class folders alone")
    if name == "official":
        if folder.fixed:
            logger.info("the official split takes the groups of %s, and not its split", folder.table)
        return carve(folder.training, OFFICIAL_FRACTIONS, seed)
    if folder.fixed is None:
        if name == "common":
            raise DataError("the common split needs a table of groups with a fixed split")
        return carve(folder.scans, GROUPED_FRACTIONS, seed) if fold is None else _fold_parts(folder.scans, fold, seed)
    fixed = _complete(folder.fixed, folder.table, seed)
    if name == "common":
        official = set(folder.training)
        return {part: fixed[part] if part == "test" else _keep(fixed[part], official) for part in PARTS}
    if fold is None:
        return fixed
    return _fold_parts(_keep(folder.scans, {scan for part in PARTS[:3] for scan in fixed[part]}), fold, seed)


def _keep(scans: Sequence[Scan], kept: Set[Scan]) -> tuple[Scan, ...]:
    return tuple(scan for scan in scans if scan in kept)


def _complete(fixed: Mapping[str, tuple[Scan, ...]], table: Path | None, seed: int) -> dict[str, tuple[Scan, ...]]:
    """Check that a fixed split has scans to train and to test on, and take a validation part from the former."""
    lacking = [part for part in ("train", "test") if not fixed[part]]
    if lacking:
        raise DataError(
            f"{table}: the split has no {lacking[0]} rows; expected train, validation, calibration and test"
        )
    if fixed["validation"]:
        return dict(fixed)
    taken = {part: share for part, share in OFFICIAL_FRACTIONS.items() if part == "train" or not fixed[part]}
    logger.info("%s has no validation rows: groups of its train rows make the parts %s", table, ", ".join(taken))
    return {**fixed, **carve(fixed["train"], taken, seed)}


def _official_tests(folder: _Folder) -> tuple[TestSplit, ...]:
    """Free of copies is not free of patients: a table's groups may join what is no copy, so they do not decide."""
    if not folder.testing:
        return ()
    scans, num_training = folder.scans, len(folder.training)
    copies = find_copies([scan.path for scan in scans]).groups if folder.table else [scan.group for scan in scans]
    seen = set(copies[:num_training])
    free = tuple(scan for scan, name in zip(folder.testing, copies[num_training:], strict=True) if name not in seen)
    official = TestSplit("official_test", folder.testing)
    return (official, TestSplit("copy_free_test", free)) if free else (official,)


def _shuffle_by_size(members: Mapping[str, Sequence[Scan]], seed: int) -> list[str]:
    names = sorted(members)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    return sorted(shuffled, key=lambda name: -len(members[name]))


def _check_classes(part: str, scans: Sequence[Scan], classes: Sequence[str]) -> None:
    if part == "calibration" and not scans:
        return
    missing = sorted(set(range(len(classes))) - {scan.label for scan in scans})
    if missing:
        raise DataError(
            f"too few groups: the {part} part got no scan of class {classes[missing[0]]}; "
            "more patients are needed, or a table with a fixed split"
        )
