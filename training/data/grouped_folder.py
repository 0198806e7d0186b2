"""The scans of a data folder with their groups, and with the parts that a table fixes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.copies import find_copies
from training.data.groups import GroupRow, load_groups
from training.data.image_tree import find_files
from training.data.scans import TESTING, TRAINING, Scan, find_scans
from training.data.tables import PARTS
from training.errors import DataError


@dataclass(frozen=True)
class GroupedFolder:
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
        """Those of both."""
        return (*self.training, *self.testing)


def read_grouped_folder(root: Path, classes: Sequence[str] | None, groups: Path | None) -> GroupedFolder:
    """Read the scans of a data folder with their groups.

    Args:
        classes: In the order of the labels; by default that of the folders' names.
        groups: A table of groups, see `load_groups`; without one the groups are found by `find_copies`.

    Raises:
        DataError: If the folder or the table is not as expected.
    """
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
    return GroupedFolder(folder.classes, scans[:num_training], scans[num_training:], groups, fixed, has_splits)


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
