"""A folder of labelled images, with or without a level of splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from model.scan_files import walk_folders
from training.errors import DataError


@dataclass(frozen=True)
class TreeFile:
    """A file with the names of the folders that it lies in.

    Attributes:
        name: The path relative to the root, with slashes.
        split: The top folder in a tree ROOT/SPLIT/CLASS/..., else empty.
        label: The class folder; empty where a file lies beside the class folders.
        problem: Why it, or a folder of this path, cannot be read; else empty.
    """

    path: Path
    name: str
    split: str
    label: str
    problem: str = ""


def find_files(root: Path, skip: Path | None = None) -> tuple[TreeFile, ...]:
    """List the files in ROOT/SPLIT/CLASS/... or ROOT/CLASS/..., in the order of the names, except in the folder `skip`.

    The top folders are splits if names below them recur (Training/glioma, Testing/glioma), or if there is only one top
    folder; else they are classes. What `is_foreign` names, and files directly in the root, are left out.

    Raises:
        DataError: If there is no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise DataError(f"expected images in {root}: there is no such folder")
    walked = [(file.path.relative_to(root).parts, file) for file in walk_folders(root, skip=[skip] if skip else [])]
    walked = [(names, file) for names, file in walked if len(names) > 1 or file.problem]
    if not walked:
        raise DataError(f"expected images in {root}/SPLIT/CLASS/ or {root}/CLASS/; found none")
    has_splits = _has_splits([names for names, file in walked if not file.problem])
    found = []
    for names, file in walked:
        split, label, *_ = (*([] if has_splits else [""]), *names[:-1], "", "")
        found.append(TreeFile(file.path, "/".join(names), split, label, file.problem))
    return tuple(found)


def _has_splits(parts: Sequence[tuple[str, ...]]) -> bool:
    below: dict[str, set[str]] = {names[0]: set() for names in parts}
    for names in parts:
        below[names[0]].update(names[1:-1][:1])
    if len(below) == 1:
        return any(below.values())
    return any(first & second for first, second in combinations(below.values(), 2))
