"""Files that appear whole: a crash at any time leaves the old file or the new one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a draft beside `path`, which replaces `path` at the end, or is removed after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after `path`, whose name may be of maximum length.
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())  # before it has the name: else a crash may leave an empty file of that name
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; an older one is replaced."""
    with replace_file(path) as draft:
        draft.write_bytes(data)
