"""The file that rows are written to: whole at the end, and until then a part that can be continued.

FILE.part: row, row, row, ... -> all are there -> FILE
     |
     stopped, killed: the part stays; with `resume` what is complete of it is kept, and the rest follows
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
    """Writes rows, those of a file at once.

    Attributes:
        earlier: The files that an earlier run has written rows for, and how many each.
        num_failed: Rows with an error, the earlier ones included.
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
    """Open what rows are written to; a file of this name appears when all has gone well, and replaces an older one.

    Args:
        path: None for standard output, which like a pipe or device is written to directly.
        sha256: Of the weights; rows of others are not continued.
        resume: Keep the rows of an earlier run, of its part or of its whole output.

    Raises:
        OutputError: If there is no file to continue, or its rows are not ones that this run could have written.
    """
    if resume and path is None:
        raise OutputError("--resume needs --output FILE, whose rows it keeps")
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
            writer = _continue(stream, form, sha256)
        except OutputError as error:
            if is_copy:
                part.unlink()
            raise OutputError(f"cannot continue {whole if is_copy else part}: {error}") from error
        yield writer
        os.fsync(stream.fileno())
    os.replace(part, whole)


def _write_directly(path: Path | None, form: RowFormat) -> Iterator[RowWriter]:
    with path.open("wb") if path else nullcontext(sys.stdout.buffer) as stream:
        writer = RowWriter(stream, form)
        stream.write(form.header)
        yield writer


def _continue(stream: BinaryIO, form: RowFormat, sha256: str) -> RowWriter:
    """Read what is there, cut off what is not complete, and go on behind it."""
    writer = RowWriter(stream, form)
    begin = stream.read(len(form.header))
    if begin != form.header:
        if not form.header.startswith(begin):
            raise OutputError("its columns are not those of this format and these weights")
        begin = b""
    num_bytes = position = len(begin)
    for record in form.split(stream):
        row = form.decode(record)
        if row.sha256 not in (None, sha256):
            raise OutputError("its rows are those of other weights")
        position += len(record)
        if row.is_last:  # slices that no row of their volume follows are judged again
            writer.earlier[row.file] += 1
            writer.num_failed += row.failed
            num_bytes = position
    stream.seek(num_bytes)
    stream.truncate()
    if not num_bytes:
        stream.write(form.header)
    return writer
