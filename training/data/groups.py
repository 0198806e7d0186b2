"""Tables of images that belong together: patients, copies of one picture, and perhaps a fixed split."""

import csv
from dataclasses import dataclass
from pathlib import Path

from training.errors import DataError

_EXPECTED = "expected a CSV table with the columns path, group and, perhaps, split"
PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class GroupRow:
    """The row of one image; `split` is one of `PARTS`, or None where the table fixes no split."""

    group: str
    split: str | None


def load_groups(path: Path) -> dict[str, GroupRow]:
    """Read a table with the columns path, group and, perhaps, split and others.

    A split column that names train, validation and test is a fixed split; any other, such as that of `audit`, is not.

    Returns:
        A row by the image's path relative to the data folder.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a group is in two parts of the split.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"cannot read the groups in {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {_EXPECTED}") from error
    if not all(row.get("path") and row.get("group") for row in found):
        raise DataError(f"{path}: {_EXPECTED}")
    fixed = {"train", "validation", "test"} <= {row.get("split") for row in found}
    rows = {
        row["path"]: GroupRow(row["group"], row["split"] if fixed and row["split"] in PARTS else None) for row in found
    }
    part_of: dict[str, str | None] = {}
    for row in rows.values():
        if part_of.setdefault(row.group, row.split) != row.split:
            raise DataError(f"{path}: group {row.group} is in two parts of the split")
    return rows
