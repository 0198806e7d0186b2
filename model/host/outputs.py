"""Places to write to, tried before any work."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryFile


def check_folder(path: Path) -> None:
    """Try to write into a folder, there or to be created; nothing is left behind.

    Raises:
        OSError: As writing would raise it.
    """
    nearest = path
    try:
        while not _exists(nearest):
            nearest = nearest.parent
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_file(path: Path) -> None:
    """Try to write a file, there or to be created; a device or pipe is left alone.

    Raises:
        OSError: As writing would raise it.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.is_file():
        with path.open("ab"):
            pass
    if path.is_file() or not _exists(path):
        check_folder(path.parent)


def _exists(path: Path) -> bool:
    """Look for a path, or a link that leads nowhere; raise `OSError` for a name that no file can have."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
