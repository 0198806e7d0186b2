"""Where experts saw the tumour."""

import csv
from dataclasses import dataclass
from pathlib import Path

from training.errors import DataError


@dataclass(frozen=True)
class Box:
    """A rectangle; left, top, right and bottom in [0, 1] of the image's width and height."""

    x0: float
    y0: float
    x1: float
    y1: float


def load_boxes(path: Path) -> dict[str, Box]:
    """Read a table with the columns path, x0, y0, x1, y1.

    Returns:
        The box of each image, by its path relative to the data folder.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a row holds no box.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["path"]: _read_box(row) for row in csv.DictReader(file)}
    except OSError as error:
        raise DataError(f"cannot read the boxes in {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected columns path, x0, y0, x1, y1 with 0 <= x0 < x1 <= 1, likewise y") from error


def _read_box(row: dict[str, str]) -> Box:
    box = Box(*(float(row[name]) for name in ("x0", "y0", "x1", "y1")))
    if not (0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1):
        raise ValueError("not a box")
    return box
