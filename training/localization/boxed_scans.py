"""Scans with a box, their groups and parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from training.data.boxes import Box, load_boxes
from training.data.groups import GroupRow, load_groups
from training.data.scans import Scan
from training.errors import DataError


@dataclass(frozen=True)
class BoxedScan:
    """A scan, its tumour's box, and its part of the split, if there is one."""

    scan: Scan
    box: Box
    part: str | None


def find_boxed_scans(
    root: Path,
    boxes: Path,
    groups: Path | None,
    classes: Sequence[str],
    class_map: Mapping[str, str] = MappingProxyType({}),
) -> list[BoxedScan]:
    """Join the tables of boxes and groups; the class is the name of a scan's folder.

    Args:
        root: The data folder, which the tables' paths are relative to.
        groups: Without it each scan is a group of its own, in no part.
        classes: In the order of the labels.
        class_map: Classes by those of the folders, where they have other names.

    Raises:
        DataError: If a table is not as expected, or a box belongs to no scan, no group or no known class.
    """
    rows = load_groups(groups, root) if groups else None
    expected = ", ".join(dict.fromkeys((*class_map, *classes)))
    found = []
    for name, box in load_boxes(boxes, root).items():
        path = root / name
        label = class_map.get(path.parent.name, path.parent.name)
        if label not in classes:
            raise DataError(f"unknown class of the box of {name}: expected a folder out of {expected}")
        if rows is not None and name not in rows:
            raise DataError(f"the table of groups lacks {name}, for which there is a box")
        row = rows[name] if rows is not None else GroupRow(name, None)
        found.append(BoxedScan(Scan(path, classes.index(label), row.group), box, row.split))
    return found


def draw_scans(scans: Sequence[BoxedScan], num_scans: int | None, seed: int) -> list[BoxedScan]:
    """Draw at most `num_scans` of each class, in the order they came; None keeps all."""
    if num_scans is None:
        return list(scans)
    order = np.random.default_rng(seed).permutation(len(scans))
    taken: dict[int, list[int]] = {}
    for index in order:
        taken.setdefault(scans[index].scan.label, []).append(int(index))
    return [scans[index] for index in sorted(index for indices in taken.values() for index in indices[:num_scans])]
