"""The output file of rows: whole at the end, and until then a part that can be resumed.

FILE.part: row, row, row, ... -> complete -> FILE
     |
     stopped, killed: the part stays; `resume` keeps its complete rows and appends the rest
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from model.commands.rows import Row, RowFormat
from model.errors import OutputError

PART = ".part"


@dataclass
class RowWriter:
    """Writes rows, and counts failures.

    Attributes:
        earlier: Number of results per file that an earlier run has written.
        num_failed: Rows with an error, earlier ones included.
    """

    stream: BinaryIO
    form: RowFormat
    earlier: Counter[str] = field(default_factory=Counter)
    num_failed: int = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Write the rows of one file."""
        self.num_failed += sum(row.error is not None for row in rows)
        self.stream.write(b"".join(map(self.form.encode, rows)))
        self.stream.flush()


@contextmanager
def open_rows(path: Path | None, form: RowFormat, sha256: str, *, resume: bool = False) -> Iterator[RowWriter]:
    """Open the output of rows; the file appears, and replaces an older one, when the block ends without an error.

    Args:
        path: None for standard output, which like a pipe or device is written to directly.
        sha256: Of the weights; rows of others are not resumed.
        resume: Keep the rows of an earlier run, of its part or of its whole output.

    Raises:
        OutputError: If there is no file to resume, or this run could not have written its rows.
    """
    if resume and path is None:
        raise OutputError("--resume needs --output FILE, to keep the rows of that file")
    if path is None or (path.exists() and not path.is_file()):
        yield from _write_directly(path, form)
        return
    whole = path.resolve()
    part = whole.with_name(whole.name + PART)
    is_copy = resume and not part.exists() and whole.exists()
    if is_copy:
        shutil.copyfile(whole, part)
    with part.open("r+b" if resume and part.exists() else "w+b") as stream:
        try:
            writer = _resume(stream, form, sha256)
        except OutputError as error:
            if is_copy:
                part.unlink()
            raise OutputError(f"cannot resume {whole if is_copy else part}: {error}") from error
        yield writer
        os.fsync(stream.fileno())
    os.replace(part, whole)


def _write_directly(path: Path | None, form: RowFormat) -> Iterator[RowWriter]:
    with path.open("wb") if path else nullcontext(sys.stdout.buffer) as stream:
        writer = RowWriter(stream, form)
        stream.write(form.header)
        yield writer


def _resume(stream: BinaryIO, form: RowFormat, sha256: str) -> RowWriter:
    """Read the earlier rows, cut off an incomplete end, and append there."""
    writer = RowWriter(stream, form)
    begin = stream.read(len(form.header))
    if begin != form.header:
        if not form.header.startswith(begin):
            raise OutputError("expected the columns of this format and these weights; found others")
        begin = b""
    num_bytes = position = len(begin)
    for record in form.split(stream):
        row = form.decode(record)
        if row.sha256 not in (None, sha256):
            raise OutputError("expected rows of these weights; found those of other weights")
        position += len(record)
        if row.is_last:  # slices without the row of their volume are classified again
            writer.earlier[row.file] += 1
            writer.num_failed += row.failed
            num_bytes = position
    stream.seek(num_bytes)
    stream.truncate()
    if not num_bytes:
        stream.write(form.header)
    return writer
