"""SHA-256 of files, and lists of them as `sha256sum` writes."""

import hashlib
from pathlib import Path

from model.errors import CheckpointError

SUMS_FILE = "SHA256SUMS"


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(path: Path, expected: str | None = None) -> None:
    """Compare a file's SHA-256 with `expected`, and with the one in `SHA256SUMS` beside it.

    Raises:
        CheckpointError: If either is known, and the file is missing or has another.
    """
    known = {"given": expected, f"in {SUMS_FILE}": _find_listed(path)}
    if not any(known.values()):
        return
    try:
        found = hash_file(path)
    except OSError as error:
        raise CheckpointError(f"cannot load {path}: the file is missing or cannot be read") from error
    for place, sha256 in known.items():
        if sha256 and found != sha256:
            raise CheckpointError(
                f"cannot load {path}: its SHA-256 is not the one {place}; if you replaced it on purpose, "
                "change it there too"
            )


def _find_listed(path: Path) -> str | None:
    """Find the file's hash in `SHA256SUMS`: lines of a hash, a space, a space or an asterisk, and a name."""
    try:
        lines = (path.parent / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot load {path}: {SUMS_FILE} beside it cannot be read") from error
    return next((line[:64].lower() for line in lines if line[66:] == path.name), None)
