"""Files of images on disk: found in folders, and read. The one way for commands, audit and training.

folder -> each real folder once -> files, and what cannot be read -> images, by name or bytes -> data
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.images.signature import MAGIC_END, is_dicom
from model.nifti.slices import is_volume

MAX_FILE_BYTES = 256 * 2**20  # the largest image that may be decoded has 128 MiB as 16-bit RGBA without compression
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".dcm", ".dicom"}
)
_RASTERS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NO_IMAGES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"}
    | {"dicomdir"}  # a table of contents, which itself holds no image; PS3.10, section 8
)
_TEXT_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".json", ".jsonl", ".log", ".md", ".pdf", ".rst", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
)


@dataclass(frozen=True)
class FoundFile:
    """A file below a folder.

    Attributes:
        problem: Why it, or a folder of this path, cannot be read; else empty.
    """

    path: Path
    problem: str = ""


def walk_folders(*roots: Path, skip: Collection[Path] = ()) -> list[FoundFile]:
    """List the files below folders in the order of their paths, without those that `is_foreign` names.

    Links are followed. A folder that several paths lead to is listed once, by a path without links where there is one;
    links to the folders around a root are passed over.

    Args:
        skip: Folders to leave out, such as those of results.
    """
    around = {parent for root in roots for parent in Path(os.path.realpath(root)).parents}
    around |= {folder for folder in skip if folder.exists()}
    seen = {_identify(folder) for folder in around} - {_identify(root) for root in roots}
    found = list[FoundFile]()
    links, folders = ([root for root in roots if root.is_symlink() is is_link] for is_link in (True, False))
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            if (identity := _identify(folder)) in seen:
                continue
            seen.add(identity)
            inside = sorted(folder.iterdir())
        except OSError as error:
            found.append(FoundFile(folder, f"The folder cannot be read: {error.strerror}."))
            continue
        for path in inside:
            kind, problem = _find_kind(path)
            if is_foreign(path, is_folder=stat.S_ISDIR(kind)):
                continue
            if stat.S_ISDIR(kind):
                (links if path.is_symlink() else folders).append(path)
            elif problem or stat.S_ISREG(kind):
                found.append(FoundFile(path, problem))
    return sorted(found, key=lambda file: file.path)


def find_image_files(root: Path, skip: Collection[Path] = ()) -> Iterator[FoundFile]:
    """Find the images below a folder, and what might be one and cannot be read; bytes decide where the name is mute."""
    for file in walk_folders(root, skip=skip):
        if file.problem or file.path.suffix.lower() in EXTENSIONS or is_volume(file.path):
            yield file
            continue
        try:
            with file.path.open("rb") as stream:
                begins_as_image = _begins_as_image(stream.read(2 * MAGIC_END))
        except OSError as error:
            yield FoundFile(file.path, error.strerror or "cannot be read")
        else:
            if begins_as_image:
                yield file


def is_foreign(path: Path, *, is_folder: bool) -> bool:
    """Return whether a name stands for neither scan nor class: hidden, left by an operating system, or a text file."""
    name = path.name.lower()
    is_left_over = name.startswith(".") or name in _NO_IMAGES
    return is_left_over or (path.suffix.lower() in _TEXT_SUFFIXES and not is_folder)


def read_file(path: Path) -> bytes:
    """Read a file.

    Raises:
        OSError: If it cannot be read, or has more than `MAX_FILE_BYTES`.
    """
    with path.open("rb") as file:
        num_bytes = os.fstat(file.fileno()).st_size or MAX_FILE_BYTES  # of a pipe nothing is known
        data = file.read(min(num_bytes, MAX_FILE_BYTES) + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(None, f"The file may have at most {MAX_FILE_BYTES:,} bytes.")
    return data


def _identify(folder: Path) -> tuple[int, int | str]:
    found = folder.stat()
    return found.st_dev, found.st_ino or os.path.realpath(folder)  # some file systems have no inodes


def _find_kind(path: Path) -> tuple[int, str]:
    """Find the kind of a file, its `st_mode`, or 0 and why it cannot be read."""
    try:
        return path.stat().st_mode, ""
    except FileNotFoundError:  # with neither link nor problem it is gone since the folder was listed
        return 0, "The link leads to no file." if path.is_symlink() else ""
    except OSError as error:
        return 0, f"The file cannot be read: {error.strerror}."


def _begins_as_image(data: bytes) -> bool:
    is_webp, is_bmp = data[:4] == b"RIFF" and data[8:12] == b"WEBP", data[:2] == b"BM" and not any(data[6:10])
    return data.startswith(_RASTERS) or is_webp or is_bmp or is_dicom(data)
