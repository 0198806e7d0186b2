"""The files that a command is to classify, and their places in a folder of results."""

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
FROM_INPUT = "-"  # in place of a path: a list of paths on standard input


@dataclass(frozen=True)
class ImageFile:
    """A file to classify.

    Attributes:
        path: As named, or below the named folder.
        root: The named folder; None for a file that was named itself.
    """

    path: Path
    root: Path | None = None

    @property
    def place(self) -> Path:
        """Path in a folder that mirrors the files: as below `root`, or as named."""
        if self.root is not None:
            return self.path.relative_to(self.root)
        return Path(*(part for part in self.path.parts if part not in (self.path.anchor, "..")))


def find_images(names: Iterable[str], listing: Iterable[str] = ()) -> list[ImageFile]:
    """Find the files to classify, in the order of their names.

    A folder stands for the files in it, at any depth, with one of `EXTENSIONS` or of NIfTI's, in the order of their
    paths and without hidden ones; files without an extension, or named by numbers as scanners do, are included if their
    bytes are DICOM's. A pattern (`*`, `?`, `[...]`, and `**` for any depth) stands for its matches, and `-` for
    `listing`, which holds no patterns. A file that is named itself is included under any name, even if it is missing.

    Raises:
        ImagesNotFoundError: If a pattern has no match, or no file is found at all.
    """
    files = [
        file
        for name in names
        for path in (listing if name == FROM_INPUT else _expand_pattern(name))
        for file in _walk(Path(path))
    ]
    if not files:
        raise ImagesNotFoundError("found no image; pass files, or folders that hold some")
    return files


def read_listing(stream: BinaryIO, separator: bytes = b"\n") -> list[str]:
    """Read paths that end with the separator, without empty ones.

    Raises:
        ImagesNotFoundError: If the list has another separator.
    """
    names = [name for name in stream.read().split(separator) if name]
    if any(b"\0" in name for name in names):
        raise ImagesNotFoundError("the list of files holds NUL characters; read it with --null")
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
    except OSError:  # found in a folder, and so not necessarily an image
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long; reading it reports the error
        return False
