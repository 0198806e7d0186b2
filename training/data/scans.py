"""The scans of a data folder.

DIR/Training/CLASS/...    trained on, with a part carved out for validation
DIR/Testing/CLASS/...     reported on, and nothing else
DIR/CLASS/...             instead of both: divided by groups
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.checkpoints.file_hash import hash_file
from model.scan_files import is_foreign, walk_folders
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
    """List the files of `root/split/CLASS/` at any depth, without those that `is_foreign` names.

    Args:
        split: Empty for a folder without splits.
        classes: The only class folders allowed, in the order of the labels; by default those found.

    Raises:
        DataError: If a folder is missing, empty or cannot be read, a file lies outside a class folder, or a class is
            unknown.
    """
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"expected class folders in {folder}: there is no such folder")
    splits = [root / name for name in (TRAINING, TESTING) if split and (root / name).is_dir()]
    walked = walk_folders(*(splits or [root]))  # together: a link from one to the other adds no scan
    files = [file for file in walked if file.path.is_relative_to(folder)]
    problems = [file for file in files if file.problem]
    if problems:
        raise DataError(f"{problems[0].path}: {problems[0].problem} ({len(problems)} in {folder} cannot be read)")
    paths: dict[str, list[Path]] = {path.name: [] for path in sorted(folder.iterdir()) if _is_class(path)}
    for file in files:
        name, *inside = file.path.relative_to(folder).parts
        if not inside:
            raise DataError(f"expected only class folders in {folder}; found the file {file.path}")
        paths[name].append(file.path)
    classes = tuple(classes or paths)
    unknown = [name for name in paths if name not in classes]
    if unknown and split == TESTING and not (root / TRAINING / unknown[0]).is_dir():
        raise DataError(f"{TRAINING} lacks the class of {folder / unknown[0]}; expected {', '.join(classes)}")
    if unknown:
        raise DataError(f"unknown class: {folder / unknown[0]}; expected {', '.join(classes)}")
    if len(classes) < 2:
        raise DataError(f"expected at least two class folders in {folder}; found {len(classes)}")
    empty = [name for name in classes if not paths.get(name)]
    if empty:
        raise DataError(f"expected images in {folder / empty[0]}; found none")
    return ScanFolder(
        root, classes, tuple(Scan(path, label) for label, name in enumerate(classes) for path in paths[name])
    )


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


def _is_class(path: Path) -> bool:
    return path.is_dir() and not is_foreign(path, is_folder=True)


def _hash_or_name_problem(scan: Scan) -> tuple[str, str]:
    try:
        read_image(scan.path)
        return hash_file(scan.path), ""
    except ImageFileError as error:
        return "", str(error)
