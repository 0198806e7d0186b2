"""The scans of a data folder.

DIR/Training/CLASS/*.jpg    trained on, with a part carved out for validation
DIR/Testing/CLASS/*.jpg     reported on, and nothing else
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.checkpoints.file_hash import hash_file
from training.data.image_tree import is_foreign
from training.data.reading import read_image, read_in_threads
from training.errors import DataError, ImageFileError

TRAINING, TESTING = "Training", "Testing"
_MAX_NAMED_FILES = 5


@dataclass(frozen=True)
class Scan:
    """One labelled file.

    Attributes:
        label: Counts classes in the order of their names.
        group: Scans of one patient and copies of one picture share it, and are never on two sides of a split.
    """

    path: Path
    label: int
    group: str = ""

    def name_classes(self, classes: Sequence[str]) -> str:
        """Name the class, or all that are possible."""
        return classes[self.label]


@dataclass(frozen=True)
class ScanFolder:
    """The scans of one split of a data folder."""

    root: Path
    classes: tuple[str, ...]
    scans: tuple[Scan, ...]


@dataclass(frozen=True)
class Manifest:
    """The SHA-256 of every scan, in their order, and one over all of them with their labels."""

    scans: tuple[str, ...]
    sha256: str

    def join(self, other: "Manifest") -> "Manifest":
        """Put the scans of another folder behind these."""
        return Manifest((*self.scans, *other.scans), hashlib.sha256((self.sha256 + other.sha256).encode()).hexdigest())


def find_scans(root: Path, split: str, classes: Sequence[str] | None = None) -> ScanFolder:
    """List the files of `root/split/CLASS/`, without those that `is_foreign` names.

    Args:
        classes: The only class folders allowed, in the order of the labels; by default those found.

    Raises:
        DataError: If a folder is missing or empty, a file lies outside a class folder, or a class is unknown.
    """
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"expected class folders in {folder}: there is no such folder")
    visible = sorted(path for path in folder.iterdir() if not is_foreign(path))
    stray = [path for path in visible if not path.is_dir()]
    if stray:
        raise DataError(f"expected only class folders in {folder}; found the file {stray[0]}")
    found = tuple(path.name for path in visible)
    classes = tuple(classes or found)
    unknown = [name for name in found if name not in classes]
    if unknown and split != TRAINING and not (root / TRAINING / unknown[0]).is_dir():
        raise DataError(f"{TRAINING} lacks the class of {folder / unknown[0]}; expected {', '.join(classes)}")
    if unknown:
        raise DataError(f"unknown class: {folder / unknown[0]}; expected {', '.join(classes)}")
    if len(classes) < 2:
        raise DataError(f"expected at least two class folders in {folder}; found {len(classes)}")
    scans = tuple(Scan(path, label) for label, name in enumerate(classes) for path in _list_files(folder / name))
    return ScanFolder(root, classes, scans)


def check_scans(folder: ScanFolder) -> Manifest:
    """Decode and hash every scan once.

    Raises:
        DataError: If files cannot be decoded; the message names the first of them.
    """
    results = read_in_threads(_hash_or_name_problem, folder.scans, "checking", "scan")
    broken = [problem for _, problem in results if problem]
    if broken:
        shown = "; ".join(broken[:_MAX_NAMED_FILES])
        raise DataError(f"{len(broken)} of {len(folder.scans)} scans cannot be used: {shown}")
    hashes = tuple(sha256 for sha256, _ in results)
    rows = [
        [scan.path.relative_to(folder.root).as_posix(), scan.name_classes(folder.classes), sha256]
        for scan, sha256 in zip(folder.scans, hashes, strict=True)
    ]
    return Manifest(hashes, hashlib.sha256(json.dumps(rows).encode()).hexdigest())


def _list_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if not is_foreign(path)) if folder.is_dir() else []
    if not files:
        raise DataError(f"expected images in {folder}; found none")
    return files


def _hash_or_name_problem(scan: Scan) -> tuple[str, str]:
    try:
        read_image(scan.path)
        return hash_file(scan.path), ""
    except ImageFileError as error:
        return "", str(error)
