"""The files that a command is to classify, and their places in a folder of results."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model.errors import ImagesNotFoundError
from model.host.text import decode_text
from model.scan_files import find_image_files

FROM_INPUT = "-"  # in place of a path: a list of paths on standard input


@dataclass(frozen=True)
class ImageFile:
    """A file to classify.

    Attributes:
        path: As named, or below the named folder.
        root: The named folder; None for a file that was named itself.
        problem: Why it cannot be read, as far as that is known; else empty.
    """

    path: Path
    root: Path | None = None
    problem: str = ""

    @property
    def place(self) -> Path:
        """Path in a folder that mirrors the files: as below `root`, or as named."""
        if self.root is not None and self.path != self.root:
            return self.path.relative_to(self.root)
        return Path(*(part for part in self.path.parts if part not in (self.path.anchor, "..")))


def find_images(names: Iterable[str], listing: Iterable[str] = (), skip: Collection[Path] = ()) -> list[ImageFile]:
    """Find the files to classify, in the order of their names.

    A folder stands for the images in it, at any depth, as `find_image_files` finds them, and for what cannot be read. A
    pattern (`*`, `?`, `[...]`, and `**` for any depth) stands for its matches, and `-` for `listing`, which holds no
    patterns. A file that is named itself is included under any name, even if it is missing.

    Args:
        skip: Folders of results, which links may lead to.

    Raises:
        ImagesNotFoundError: If a pattern has no match, or no file is found at all.
    """
    files = [
        file
        for name in names
        for path in (listing if name == FROM_INPUT else _expand_pattern(name))
        for file in _walk(Path(path), skip)
    ]
    if not files:
        raise ImagesNotFoundError("found no image; pass files, or folders that hold some")
    return files


def read_listing(stream: BinaryIO, separator: bytes = b"\n") -> list[str]:
    """Read paths that end with the separator, without empty ones.

    Lines may end as on Windows, and be in UTF-16 or begin with a byte order mark.

    Raises:
        ImagesNotFoundError: If the list has another separator, or is damaged UTF-16.
    """
    data = stream.read()
    if separator != b"\n":
        return [os.fsdecode(name) for name in data.split(separator) if name]
    try:
        lines = decode_text(data, "surrogateescape").split("\n")
    except UnicodeDecodeError as error:
        raise ImagesNotFoundError("the list of files begins as UTF-16 and does not continue so") from error
    if any("\0" in line for line in lines):
        raise ImagesNotFoundError("the list of files holds NUL characters; read it with --null")
    return [name for name in map(_strip_return, lines) if name]


def _strip_return(name: str) -> str:
    return name if os.path.lexists(name) else name.removesuffix("\r")


def _expand_pattern(name: str) -> Sequence[str]:
    if not glob.has_magic(name) or os.path.lexists(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        raise ImagesNotFoundError(f"no file matches {name}")
    return found


def _walk(path: Path, skip: Collection[Path]) -> Iterator[ImageFile]:
    if not _is_folder(path):
        yield ImageFile(path)
        return
    for file in find_image_files(path, skip):
        yield ImageFile(file.path, path, file.problem)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long; reading it reports the error
        return False
