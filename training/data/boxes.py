"""The boxes that experts drew around tumours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.images.decoded import FloatArray
from training.data.tables import Row, read_scan_table

_SIDES = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, right and bottom in [0, 1] of the image's width and height."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def center(self) -> tuple[float, float]:
        """The middle (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> float:
        """Part of the image inside."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point lies inside or on the border."""
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1

    def coverage(self, height: int, width: int) -> FloatArray:
        """Compute the part of each cell of a grid (height, width) that lies inside, in [0, 1]."""
        return np.outer(_overlap(self.y0, self.y1, height), _overlap(self.x0, self.x1, width)).astype(np.float32)


def load_boxes(path: Path, root: Path) -> dict[str, Box]:
    """Read a table with the columns path, x0, y0, x1, y1, and perhaps others.

    Returns:
        The box of each image, by its path relative to the data folder `root`.

    Raises:
        DataError: If the table is not as `read_scan_table` expects, or a row holds no box.
    """
    return {name: read_box(row) for name, row in read_scan_table(path, _SIDES, root).items()}


def read_box(row: Row) -> Box:
    """Read the box of a row, or raise `DataError`."""
    values = [row.cells[name] for name in _SIDES]
    try:
        box = Box(*map(float, values))
    except ValueError:
        box = None
    if box is None or not (0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1):
        raise row.error(f"expected 0 <= x0 < x1 <= 1, likewise y; found {', '.join(values)}")
    return box


def _overlap(low: float, high: float, num_cells: int) -> FloatArray:
    edges = np.clip(np.arange(num_cells + 1) / num_cells, low, high)
    return np.diff(edges).astype(np.float32) * num_cells
