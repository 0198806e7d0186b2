"""Who belongs with whom: patients, copies of one picture, and perhaps a fixed split."""

import csv
from dataclasses import dataclass
from pathlib import Path

from training.errors import DataError

PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class GroupRow:
    """What a table knows about one image; `split` is one of `PARTS`, or None where it names none of them."""

    group: str
    split: str | None


def load_groups(path: Path) -> dict[str, GroupRow]:
    """Read a table with the columns path, group and, perhaps, split; further columns are passed over.

    Returns:
        A row by the image's path relative to the data folder.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a group is in two parts of the split.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["path"]: _read_row(row) for row in csv.DictReader(file)}
    except OSError as error:
        raise DataError(f"cannot read the groups in {path}: {error.strerror}") from error
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV table with the columns path, group and, perhaps, split") from error
    _check_parts(path, rows)
    return rows


def _read_row(row: dict[str, str]) -> GroupRow:
    if not row["path"] or not row["group"]:
        raise KeyError("group")
    split = row.get("split")
    return GroupRow(row["group"], split if split in PARTS else None)


def _check_parts(path: Path, rows: dict[str, GroupRow]) -> None:
    part_of: dict[str, str | None] = {}
    for row in rows.values():
        if part_of.setdefault(row.group, row.split) != row.split:
            raise DataError(f"{path}: group {row.group} is in two parts of the split")
