"""Scans of which less is known than the class: the table of `fit --coarse` and `evaluate --elsewhere`.

A scan of another hospital may be known to show some tumour, or none, but not which; a CT slice is no scan to be
classified at all. One row a picture:

    path                its place below the table's folder
    classes             the classes that are possible, `glioma|meningioma`; empty where nothing is known
    label               instead of classes: tumour (any but the healthy class), lesion_free (the healthy class),
                        mri_head or not_mri_head (nothing is known)
    sequence            t1c, another name of an MR sequence, or unknown
    patient, source     together they say what must not be on two sides of a split
    split               train, validation or calibration
    plane, type         for reports; may be empty
    licence             of the source, for the model card; may be empty
    x0, y0, x1, y1      box of the lesion; may be empty
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.kinds import KINDS
from training.data.boxes import Box, read_box
from training.data.scans import Scan
from training.data.tables import Row, read_parts, read_scan_table

CONTRAST_T1, UNKNOWN = "t1c", "unknown"  # names of sequences
LearntPart = Literal["train", "validation", "calibration"]
LEARNT_PARTS: tuple[LearntPart, ...] = ("train", "validation", "calibration")
_TUMOR, _LESION_FREE, _NOT_MRI_HEAD = "tumour", "lesion_free", "not_mri_head"
_LABELS = (_TUMOR, _LESION_FREE, "mri_head", _NOT_MRI_HEAD)


@dataclass(frozen=True)
class CoarseScan(Scan):
    """A scan that may be of several classes, or of none.

    Attributes:
        possible: Labels that it may have; none where nothing is known of the class. `label` is the first, or -1.
        kinds: Indices into `model.kinds.KINDS` that it may be.
        split: train, validation or calibration.
        source: The hospital or collection it comes from.
        sequence: By the source's own name, or unknown.
        type: The class of a lesion that is known and yet not to be learnt; for reports.
        licence: As the source states it.
        box: Of the lesion, where one is known.
    """

    possible: tuple[int, ...] = ()
    kinds: tuple[int, ...] = ()
    split: str = "train"
    source: str = ""
    sequence: str = "unknown"
    plane: str = "unknown"
    type: str = ""
    licence: str = ""
    box: Box | None = None

    def name_classes(self, classes: Sequence[str]) -> str:
        """Name all classes that are possible."""
        return "|".join(classes[label] for label in self.possible)


def load_coarse(table: Path, classes: Sequence[str], healthy: int | None) -> tuple[CoarseScan, ...]:
    """Read the table; see this module. Rows without a part, or of the part `test`, are left out.

    Args:
        classes: In the order of the labels.
        healthy: The label of the class without a tumour, which `label` refers to.

    Raises:
        DataError: If the table cannot be read, a value is unknown, or a patient is in two parts of the split.
    """
    rows = read_scan_table(table, (), table.parent)
    parts = read_parts(rows.values())
    scans = [
        _read_scan(row, table.parent / name, part, classes, healthy)
        for (name, row), part in zip(rows.items(), parts, strict=True)
        if part in LEARNT_PARTS
    ]
    part_of: dict[str, str] = {}
    for row, part in zip(rows.values(), parts, strict=True):
        group = _name_group(row.cells)
        if part and part_of.setdefault(group, part) != part:
            raise row.error(f"{group} is in two parts of the split")
    return tuple(scans)


def describe_coarse(scans: Sequence[CoarseScan]) -> str:
    """Count the scans of each part, and those of which something is known about the class, for a log."""
    parts = {part: [scan for scan in scans if scan.split == part] for part in LEARNT_PARTS}
    counts = [
        f"{len(members)} {part} ({sum(bool(scan.possible) for scan in members)} with a class)"
        for part, members in parts.items()
    ]
    return ", ".join(counts)


def _read_scan(row: Row, path: Path, split: str, classes: Sequence[str], healthy: int | None) -> CoarseScan:
    cells = row.cells
    possible = _possible_classes(row, classes, healthy)
    return CoarseScan(
        path=path,
        label=possible[0] if possible else -1,
        group=_name_group(cells),
        possible=possible,
        kinds=_possible_kinds(cells),
        split=split,
        source=cells.get("source", ""),
        sequence=cells.get("sequence") or UNKNOWN,
        plane=cells.get("plane") or UNKNOWN,
        type=cells.get("type", ""),
        licence=cells.get("licence", ""),
        box=read_box(row) if cells.get("x0") else None,
    )


def _name_group(cells: Mapping[str, str]) -> str:
    return "/".join((cells.get("source", ""), cells.get("patient") or cells["path"]))


def _possible_classes(row: Row, classes: Sequence[str], healthy: int | None) -> tuple[int, ...]:
    if "classes" in row.cells:
        names = [name.strip() for name in row.cells["classes"].split("|") if name.strip()]
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise row.error(f"expected classes out of {', '.join(classes)}; found {unknown[0]!r}")
        return tuple(sorted(classes.index(name) for name in names))
    label = row.cells.get("label", "")
    if label not in _LABELS:
        raise row.error(f"expected a column classes, or a label out of {', '.join(_LABELS)}; found {label!r}")
    return tuple(
        index
        for index in range(len(classes))
        if (label == _TUMOR and index != healthy) or (label == _LESION_FREE and index == healthy)
    )


def _possible_kinds(cells: Mapping[str, str]) -> tuple[int, ...]:
    contrast_t1, other_mr, not_head_mr = range(len(KINDS))
    if cells.get("label") == _NOT_MRI_HEAD:
        return (not_head_mr,)
    sequence = cells.get("sequence") or UNKNOWN
    if sequence == UNKNOWN:
        return (contrast_t1, other_mr)
    return (contrast_t1,) if sequence == CONTRAST_T1 else (other_mr,)
