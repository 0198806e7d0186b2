"""A folder of labelled images, with or without a level of splits."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from training.errors import DataError

_FOREIGN_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"})
_TEXT_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".json", ".jsonl", ".log", ".md", ".pdf", ".rst", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
)


@dataclass(frozen=True)
class TreeFile:
    """A file with the names of the folders that it lies in.

    Attributes:
        name: The path relative to the root, with slashes.
        split: The top folder in a tree ROOT/SPLIT/CLASS/..., else empty.
        label: The class folder; empty where a file lies beside the class folders.
    """

    path: Path
    name: str
    split: str
    label: str


def find_files(root: Path, skip: Path | None = None) -> tuple[TreeFile, ...]:
    """List the files in ROOT/SPLIT/CLASS/... or ROOT/CLASS/..., in the order of the names, except in the folder `skip`.

    The top folders are splits if names below them recur (Training/glioma, Testing/glioma), or if there is only one top
    folder; else they are classes. What `is_foreign` names, and files directly in the root, are left out.

    Raises:
        DataError: If there is no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise DataError(f"expected images in {root}: there is no such folder")
    parts = sorted(path.relative_to(root).parts for path in _walk(root, skip and skip.resolve()))
    parts = [names for names in parts if len(names) > 1]
    if not parts:
        raise DataError(f"expected images in {root}/SPLIT/CLASS/ or {root}/CLASS/; found none")
    has_splits, found = _has_splits(parts), []
    for names in parts:
        split, *folders = names[:-1] if has_splits else ("", *names[:-1])
        found.append(TreeFile(root.joinpath(*names), "/".join(names), split, folders[0] if folders else ""))
    return tuple(found)


def is_foreign(path: Path) -> bool:
    """Return whether a name stands for neither scan nor class: hidden, left by an operating system, or a text file."""
    name = path.name.lower()
    is_left_over = name.startswith(".") or name in _FOREIGN_NAMES
    return is_left_over or (path.suffix.lower() in _TEXT_SUFFIXES and not path.is_dir())


def _walk(root: Path, skip: Path | None) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not is_foreign(here / name) and (here / name).resolve() != skip]
        yield from (here / name for name in files if not is_foreign(here / name))


def _has_splits(parts: Sequence[tuple[str, ...]]) -> bool:
    below: dict[str, set[str]] = {names[0]: set() for names in parts}
    for names in parts:
        below[names[0]].update(names[1:-1][:1])
    if len(below) == 1:
        return any(below.values())
    return any(first & second for first, second in combinations(below.values(), 2))
