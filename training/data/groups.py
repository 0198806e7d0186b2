"""Tables of images that belong together: patients, copies of one picture, and perhaps a fixed split."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from training.data.tables import Row, read_parts, read_scan_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroupRow:
    """The row of one image.

    Attributes:
        split: One of `PARTS`; None where the table fixes no split, or leaves the image out.
        number: Of the row, the header's being 1.
    """

    group: str
    split: str | None
    number: int = field(default=0, compare=False)


def load_groups(path: Path, root: Path) -> dict[str, GroupRow]:
    """Read a table with the columns path, group and, perhaps, split and others.

    The split is fixed by the column of that name, unless it repeats the top folders of the paths, as that of `audit`
    does.

    Returns:
        A row by the image's path relative to the data folder `root`.

    Raises:
        DataError: If the table is not as `read_scan_table` and `read_parts` expect, or a group is in two parts.
    """
    rows = read_scan_table(path, ("group",), root)
    if all(row.cells.get("split") == name.partition("/")[0] for name, row in rows.items()):
        logger.info("%s: the column split repeats the folders, and so fixes no split", path)
        parts: list[str | None] = [None] * len(rows)
    else:
        parts = read_parts(rows.values())
    first_of: dict[str, tuple[Row, str | None]] = {}
    for row, part in zip(rows.values(), parts, strict=True):
        first, other = first_of.setdefault(row.cells["group"], (row, part))
        if other != part:
            raise row.error(
                f"group {row.cells['group']!r} is in two parts of the split: "
                f"{part or 'unused'} here, {other or 'unused'} in row {first.number}"
            )
    return {
        name: GroupRow(row.cells["group"], part, row.number)
        for (name, row), part in zip(rows.items(), parts, strict=True)
    }
