"""Labelled scans from anywhere: a folder of class folders, or a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from training.data.copies import find_copies
from training.data.image_tree import find_files
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.data.tables import read_scan_table, read_table
from training.errors import DataError

EXTERNAL_TEST = "external_test"
_MAX_NAMED_FILES = 5


def find_external_test(images: Path, classes: Sequence[str], class_map: Mapping[str, str]) -> TestSplit:
    """Find scans, not all classes of which need be there; without groups in a table, copies are grouped.

    Args:
        images: A folder with scans in folders named after classes, at any depth; or a table with the columns path,
            class and, perhaps, group, whose paths are absolute or relative to its folder.
        classes: In the order of the labels; letter case does not matter in a folder's or a table's.
        class_map: Classes by other names of folders.

    Raises:
        DataError: If there is no scan, one cannot be used, or the class of one is unknown.
    """
    names = {name: classes.index(became) for name, became in class_map.items()} | {
        name: label for label, name in enumerate(classes)
    }
    labels = {name.casefold(): label for name, label in names.items()} | names
    scans = tuple(_read_table(images, labels) if images.is_file() else _read_folder(images, labels))
    if not all(scan.group for scan in scans):
        scans = _group_copies(scans)
    return TestSplit(EXTERNAL_TEST, scans)


def _read_folder(root: Path, labels: Mapping[str, int]) -> Iterator[Scan]:
    for file in find_files(root):
        found = [label for part in PurePath(file.name).parts[:-1] if (label := _find_label(part, labels)) is not None]
        if not found:
            raise DataError(f"{file.path} lies in no folder named after a class; expected {', '.join(labels)}")
        yield Scan(file.path, found[0])


def _read_table(path: Path, labels: Mapping[str, int]) -> Iterator[Scan]:
    first = PurePath(read_table(path, ("path",))[0].cells["path"])
    root = Path(first.anchor) if first.is_absolute() else path.parent
    rows = read_scan_table(path, ("class",), root)
    has_groups = any(row.cells.get("group") for row in rows.values())
    for name, row in rows.items():
        label = _find_label(row.cells["class"], labels)
        if label is None:
            raise row.error(f"unknown class {row.cells['class']!r}; expected {', '.join(labels)}")
        if has_groups and not row.cells["group"]:
            raise row.error("expected a group, as in other rows; found none")
        yield Scan(root / name, label, row.cells.get("group", ""))


def _find_label(name: str, labels: Mapping[str, int]) -> int | None:
    return labels.get(name, labels.get(name.casefold()))


def _group_copies(scans: Sequence[Scan]) -> tuple[Scan, ...]:
    copies = find_copies([scan.path for scan in scans])
    broken = [f"{scan.path}: {each.problem}" for scan, each in zip(scans, copies.facts, strict=True) if each.problem]
    if broken:
        raise DataError(f"{len(broken)} of {len(scans)} scans cannot be used: {'; '.join(broken[:_MAX_NAMED_FILES])}")
    return tuple(replace(scan, group=group) for scan, group in zip(scans, copies.groups, strict=True))
