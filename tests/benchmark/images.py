"""The images that are sent, by kind: drawn ones of one format and side, and originals, as users have them."""

import os
from functools import cache
from pathlib import Path

from tests.load.scans import draw_originals, draw_scans
from tests.load.service import ServiceError

ORIGINAL = "original"
KINDS = ("JPEG 224", "JPEG 512", "PNG 224", "PNG 512", ORIGINAL)
_DATA = "BRAIN_MRI_DATA"
_NUM_FILES = 32


@cache
def load_images(kind: str) -> list[bytes]:
    """Draw the images of a kind; originals are read where `BRAIN_MRI_DATA` names a data set.

    Raises:
        ServiceError: If there are no JPEG files below the folder that it names.
    """
    if kind != ORIGINAL:
        form, side = kind.split()
        return draw_scans(form, int(side))
    folder = os.environ.get(_DATA)
    return [file.read_bytes() for file in _choose_files(Path(folder))] if folder else draw_originals()


def describe_originals() -> str:
    """Describe in words where the originals come from."""
    if os.environ.get(_DATA):
        return f"{len(load_images(ORIGINAL))} JPEG files of the data set that {_DATA} names"
    return "drawn JPEGs of 512 x 512, half of them grey coded as RGB"


def _choose_files(folder: Path) -> list[Path]:
    """Choose files evenly from the data set in the order of their paths: the same in every run."""
    files = sorted(folder.rglob("*.jpg"))
    if not files:
        raise ServiceError(f"there are no JPEG files (*.jpg) below {folder}, which {_DATA} names")
    return [files[index * len(files) // _NUM_FILES] for index in range(min(_NUM_FILES, len(files)))]
