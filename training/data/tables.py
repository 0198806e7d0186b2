"""Tables as CSV: the one reader for every table that says what is learnt from, and how.

bytes -> UTF-8 or UTF-16 -> rows -> the files that they name

Nothing passes in silence: a row is as expected, or understood and mentioned in the log, or an error that names it.
"""

import csv
import io
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.host.text import decode_text
from training.errors import DataError

PARTS = ("train", "validation", "calibration", "test")
_PART_OF = {name: name for name in PARTS} | {
    **{"training": "train", "val": "validation", "valid": "validation", "testing": "test"},
    **{"calib": "calibration", "cal": "calibration", "unused": None, "": None},
}
_SEPARATORS = ",;\t"  # spreadsheets write the second where numbers have a decimal comma

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        number: Counted as in a spreadsheet: the header is row 1.
        cells: By the names of the columns in small letters, without blanks around them; missing ones are empty.
    """

    table: Path
    number: int
    cells: Mapping[str, str]

    def error(self, problem: str) -> DataError:
        """Make an error that names the row."""
        return DataError(f"{self.table}, row {self.number}: {problem}")


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a table with these columns and perhaps others; lines without any text are passed over.

    Raises:
        DataError: If the file cannot be read, a column is missing or named twice, a row lacks one of the columns or
            has more cells than the header, or there is no row.
    """
    try:
        text = decode_text(path.read_bytes())
        records = csv.reader(io.StringIO(text, newline=""), delimiter=_find_separator(text), strict=True)
        lines = [(records.line_num, [cell.strip() for cell in cells]) for cells in records]
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV table in UTF-8 or UTF-16") from error
    (_, header), *found = [line for line in lines if any(line[1])] or [(1, [])]
    names = [name.casefold() for name in header]
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated or not set(columns) <= set(names):
        raise DataError(f"{path}: expected columns {', '.join(columns)}, each once; found {', '.join(header)}")
    if not found:
        raise DataError(f"{path}: expected rows below the header; found none")
    return [_read_row(path, number, names, cells, columns) for number, cells in found]


def read_scan_table(path: Path, columns: Sequence[str], root: Path) -> dict[str, Row]:
    """Read a table of files below `root`, which its column `path` names.

    Backslashes, `./`, absolute paths and the other way to write accents are understood.

    Returns:
        The rows, by the name of the file: its path relative to `root`, with slashes.

    Raises:
        DataError: As of `read_table`; or if there is no such file, or it has two rows.
    """
    rows: dict[str, Row] = {}
    for row in read_table(path, ("path", *columns)):
        name = _find_name(root, row.cells["path"])
        if name is None:
            raise row.error(f"there is no file {row.cells['path']!r} in {root}")
        if name in rows:
            raise row.error(f"{name} stands in row {rows[name].number} too; expected one row a file")
        rows[name] = row
    respelt = [row for name, row in rows.items() if row.cells["path"] != name]
    if respelt:
        example = f"{respelt[0].cells['path']!r} in row {respelt[0].number}"
        logger.info("%s: %d paths were read otherwise than written, such as %s", path, len(respelt), example)
    return rows


def read_parts(rows: Iterable[Row]) -> list[str | None]:
    """Read the column `split`: one of `PARTS`, or None for `unused` and empty cells or without such a column.

    Case and the synonyms training, val, valid, cal, calib and testing are understood.

    Raises:
        DataError: If a row has another value, or there is no part at all and a row that is unused.
    """
    parts, understood, unused = list[str | None](), Counter[str](), None
    for row in rows:
        value = row.cells.get("split", "")
        if value.casefold() not in _PART_OF:
            raise row.error(f"expected a split out of {', '.join(PARTS)} and unused; found {value!r}")
        part = _PART_OF[value.casefold()]
        parts.append(part)
        if value != (part or "unused"):
            understood[f"{row.table}: split {value!r} is read as {part or 'unused'}"] += 1
        unused = row if value.casefold() == "unused" else unused
    if not any(parts):
        if unused:
            raise unused.error("expected a split with other parts than unused")
        return parts
    for reading, count in understood.items():
        logger.info("%s in %d rows", reading, count)
    return parts


def _find_separator(text: str) -> str:
    header = text.lstrip().partition("\n")[0]
    return max(_SEPARATORS, key=header.count)


def _read_row(path: Path, number: int, names: Sequence[str], cells: Sequence[str], columns: Sequence[str]) -> Row:
    row = Row(path, number, dict(zip(names, (*cells, *[""] * len(names)), strict=False)))
    if any(cells[len(names) :]):
        raise row.error(
            f"expected {len(names)} cells; found {len(cells)} (a cell with {_SEPARATORS[0]!r} needs quotes)"
        )
    missing = [name for name in columns if not row.cells[name]]
    if missing:
        raise row.error(f"expected columns {', '.join(columns)}; {missing[0]} is empty")
    return row


def _find_name(root: Path, text: str) -> str | None:
    folder = os.path.normpath(root.absolute())
    for spelling in (text, text.replace("\\", "/")):
        for form in (spelling, unicodedata.normalize("NFC", spelling), unicodedata.normalize("NFD", spelling)):
            path = Path(os.path.normpath(Path(folder, form)))
            if path.is_relative_to(folder) and _is_file(path):
                return path.relative_to(folder).as_posix()
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False
