"""Whether a file is the one it should be: SHA-256, as `sha256sum` writes and checks it."""

import hashlib
from pathlib import Path

from model.errors import CheckpointError

SUMS_FILE = "SHA256SUMS"


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(path: Path, expected: str | None = None) -> None:
    """Compare a file's SHA-256 with `expected`, and with what `SHA256SUMS` beside it says, where it names the file.

    Raises:
        CheckpointError: If there is no such file, or it is not the expected one.
    """
    wanted = {where: sha256 for where, sha256 in (("given", expected), (f"in {SUMS_FILE}", _listed(path))) if sha256}
    if not wanted:
        return
    try:
        found = hash_file(path)
    except OSError as error:
        raise CheckpointError(f"cannot load {path}: the file is not there or cannot be read") from error
    for where, sha256 in wanted.items():
        if found != sha256:
            raise CheckpointError(
                f"cannot load {path}: its SHA-256 is not the one {where}; if you replaced it on purpose, "
                "write down the new one"
            )


def _listed(path: Path) -> str | None:
    """Find the hash that `SHA256SUMS` gives: lines of a hash, a space, a space or an asterisk, and a name."""
    try:
        lines = (path.parent / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot load {path}: {SUMS_FILE} beside it cannot be read") from error
    return next((line[:64].lower() for line in lines if line[66:] == path.name), None)
