"""Which files a command is to judge, and where in a folder of results each has its place."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model.errors import ImagesNotFoundError
from model.images.signature import MAGIC_END, is_dicom
from model.nifti.slices import is_volume

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".dcm", ".dicom"}
)
DIRECTORY = "DICOMDIR"  # a table of contents, which itself holds no image; PS3.10, section 8
FROM_INPUT = "-"  # as a path: a list of paths on standard input


@dataclass(frozen=True)
class ImageFile:
    """A file to judge.

    Attributes:
        path: As it was named, or below the folder that was.
        root: The folder that was named; None for a file that was named itself.
    """

    path: Path
    root: Path | None = None

    @property
    def place(self) -> Path:
        """Where it belongs in a folder that mirrors the files: as below `root`, or as it was named."""
        if self.root is not None:
            return self.path.relative_to(self.root)
        return Path(*(part for part in self.path.parts if part not in (self.path.anchor, "..")))


def find_images(names: Iterable[str], listing: Iterable[str] = ()) -> list[ImageFile]:
    """Find the files that are meant, in the order in which they are named.

    A folder stands for the files in it, at any depth, that have one of `EXTENSIONS` or of NIfTI's, in the order of
    their paths, hidden ones left out; files without an extension, and those that a scanner has named by numbers, are
    taken if their bytes are DICOM's. A pattern (`*`, `?`, `[...]`, and `**` for any depth) stands for what matches it,
    and `-` for `listing`, in which nothing is a pattern. A file named directly is taken whatever it is called, and even
    if it is not there.

    Raises:
        ImagesNotFoundError: If nothing matches a pattern, or nothing is found at all.
    """
    files = [
        file
        for name in names
        for path in (listing if name == FROM_INPUT else _expand_pattern(name))
        for file in _walk(Path(path))
    ]
    if not files:
        raise ImagesNotFoundError("there is no image in what was named; expected files, or folders that hold some")
    return files


def read_listing(stream: BinaryIO, separator: bytes = b"\n") -> list[str]:
    """Read paths, each of which ends with the separator; empty ones are passed over.

    Raises:
        ImagesNotFoundError: If the separator is another one.
    """
    names = [name for name in stream.read().split(separator) if name]
    if any(b"\0" in name for name in names):
        raise ImagesNotFoundError("the list of files holds a NUL, which no path has; --null reads such lists")
    return [os.fsdecode(name) for name in names]


def _expand_pattern(name: str) -> Sequence[str]:
    if not glob.has_magic(name) or os.path.lexists(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        raise ImagesNotFoundError(f"no file matches {name}")
    return found


def _walk(path: Path) -> Iterator[ImageFile]:
    if not _is_folder(path):
        yield ImageFile(path)
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if not hidden and file.is_file() and _is_image(file):
            yield ImageFile(file, path)


def _is_image(file: Path) -> bool:
    if file.suffix.lower() in EXTENSIONS or is_volume(file):
        return True
    may_be_dicom = file.suffix[1:].isdecimal() or not file.suffix  # such as IM0001, or an identifier: 1.2.840.113619.2
    return may_be_dicom and file.name.upper() != DIRECTORY and _begins_as_dicom(file)


def _begins_as_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return is_dicom(stream.read(MAGIC_END))
    except OSError:  # nobody named it; it may be anything
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # it may not be looked at; whoever reads it is told why
        return False
