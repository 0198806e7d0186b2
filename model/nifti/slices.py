"""Choices of slices of a volume: `axial:middle`, `coronal:40`, `sagittal:all`."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from model.errors import UnknownFrameError

# The canonical axis that each plane is perpendicular to: towards right, front and top.
PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
SUFFIXES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class SliceChoice:
    """A plane, and which of its slices.

    Attributes:
        which: "middle", "all", or an index from 0, counted from the left, the back or the bottom.
    """

    plane: str
    which: str

    def __str__(self) -> str:
        """Format for the command line."""
        return f"{self.plane}:{self.which}"

    @property
    def axis(self) -> int:
        """The canonical axis that the slices are perpendicular to."""
        return PLANES[self.plane]

    def indices(self, num_slices: int) -> range:
        """Resolve the choice to indices.

        Raises:
            UnknownFrameError: If the volume has no such slice.
        """
        if self.which == "all":
            return range(num_slices)
        index = num_slices // 2 if self.which == "middle" else int(self.which)
        if index >= num_slices:
            raise UnknownFrameError(f"Expected a {self.plane} slice from 0 to {num_slices - 1}; found {index}.")
        return range(index, index + 1)


DEFAULT_SLICES = SliceChoice("axial", "middle")


def is_volume(path: Path) -> bool:
    """True if the name is a NIfTI file's."""
    return path.name.lower().endswith(SUFFIXES)


def parse_slices(text: str) -> SliceChoice:
    """Parse a choice of slices from the command line.

    Raises:
        argparse.ArgumentTypeError: If it is not one.
    """
    plane, _, which = text.partition(":")
    if plane not in PLANES or not (which in ("middle", "all") or (which.isascii() and which.isdigit())):
        raise argparse.ArgumentTypeError(f"expected axial, coronal or sagittal, then :middle, :all or :N; found {text}")
    return SliceChoice(plane, which)
