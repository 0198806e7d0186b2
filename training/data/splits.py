"""Parts that share no group: for training, validation, calibration and tests.

official    DIR/Training is carved into train, validation and calibration; DIR/Testing is tested on, whole and
            without what has a copy in Training
grouped     all images are divided by whole groups, or as a table says; the default where a table fixes a split, and in
            DIR/CLASS/... without Training and Testing
common      trained on what lies in DIR/Training and in the training part of a table; tested on all of the above,
            none of which such weights have seen
"""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from training.data.carving import Fold, carve, carve_fold
from training.data.class_map import ClassMapping, map_classes
from training.data.copies import find_copies
from training.data.grouped_folder import GroupedFolder, read_grouped_folder
from training.data.scans import TESTING, TRAINING, Scan
from training.data.tables import PARTS
from training.errors import DataError

SplitName = Literal["official", "grouped", "common"]

logger = logging.getLogger(__name__)

# Parts of what is carved; a fixed split in a table has its own.
OFFICIAL_FRACTIONS = {"train": 0.78, "validation": 0.14, "calibration": 0.08}
GROUPED_FRACTIONS = {"train": 0.60, "validation": 0.12, "calibration": 0.08, "test": 0.20}


@dataclass(frozen=True)
class TestSplit:
    """Scans to report on: `official_test`, `copy_free_test` or `grouped_test`."""

    __test__ = False  # no test class, whatever pytest thinks of its name

    name: str
    scans: tuple[Scan, ...]


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
    folder = read_grouped_folder(root, None, groups)
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
    folder = read_grouped_folder(root, None if class_map else classes, groups)
    tests = [*_official_tests(folder)]
    if folder.fixed and folder.fixed["test"]:
        tests.append(TestSplit("grouped_test", folder.fixed["test"]))
    if not tests:
        raise DataError(f"nothing to report on in {root}: expected {TESTING}/CLASS/, or a table with a fixed split")
    if class_map:
        mapping = map_classes(folder.classes, class_map, classes)
        tests = [replace(test, scans=mapping.relabel(test.scans)) for test in tests]
    return tuple(tests)


def _divide(folder: GroupedFolder, name: SplitName, fold: Fold | None, seed: int) -> Mapping[str, tuple[Scan, ...]]:
    if name != "grouped" and not folder.has_splits:
        raise DataError(f"the {name} split needs {TRAINING}/CLASS/; found class folders alone")
    if name == "official":
        if folder.fixed:
            logger.info("the official split takes the groups of %s, and not its split", folder.table)
        return carve(folder.training, OFFICIAL_FRACTIONS, seed)
    if folder.fixed is None:
        if name == "common":
            raise DataError("the common split needs a table of groups with a fixed split")
        return carve(folder.scans, GROUPED_FRACTIONS, seed) if fold is None else carve_fold(folder.scans, fold, seed)
    fixed = _complete(folder.fixed, folder.table, seed)
    if name == "common":
        official = set(folder.training)
        return {part: fixed[part] if part == "test" else _keep(fixed[part], official) for part in PARTS}
    if fold is None:
        return fixed
    return carve_fold(_keep(folder.scans, {scan for part in PARTS[:3] for scan in fixed[part]}), fold, seed)


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


def _official_tests(folder: GroupedFolder) -> tuple[TestSplit, ...]:
    """Free of copies is not free of patients: a table's groups may join what is no copy, so they do not decide."""
    if not folder.testing:
        return ()
    scans, num_training = folder.scans, len(folder.training)
    copies = find_copies([scan.path for scan in scans]).groups if folder.table else [scan.group for scan in scans]
    seen = set(copies[:num_training])
    free = tuple(scan for scan, name in zip(folder.testing, copies[num_training:], strict=True) if name not in seen)
    official = TestSplit("official_test", folder.testing)
    return (official, TestSplit("copy_free_test", free)) if free else (official,)


def _check_classes(part: str, scans: Sequence[Scan], classes: Sequence[str]) -> None:
    if part == "calibration" and not scans:
        return
    missing = sorted(set(range(len(classes))) - {scan.label for scan in scans})
    if missing:
        raise DataError(
            f"too few groups: the {part} part got no scan of class {classes[missing[0]]}; "
            "more patients are needed, or a table with a fixed split"
        )
