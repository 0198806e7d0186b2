import logging
import unicodedata

import pytest

from training.data.tables import PARTS, read_parts, read_scan_table, read_table
from training.errors import DataError

NAMES = ("Training/glioma/a.png", "Training/glioma/b, c.png", "Testing/naïve/d.png")


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    return tmp_path / "data"


def write(folder, text, encoding="utf-8"):
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", ",;\t")
def test_a_table_is_read_as_any_spreadsheet_writes_it(tmp_path, encoding, end, separator):
    lines = [separator.join(cells) for cells in ((" Path", "GROUP ", ""), ("ä.png", ' "1" ', ""), ("", "", ""))]
    lines.append(separator.join(('"b;,\t.png"', "2")))
    rows = read_table(write(tmp_path, end.join(lines) + end, encoding), ("path", "group"))
    assert [(row.number, row.cells["path"], row.cells["group"]) for row in rows] == [
        (2, "ä.png", '"1"'),
        (4, "b;,\t.png", "2"),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expected columns path, group"),
        ("\n\n", "expected columns"),
        ("path,grp\nx,1\n", "found path, grp"),
        ("path,group,Group\nx,1,2\n", "each once"),
        ("path,group\n", "expected rows"),
        ("path,group\nx,1\ny\n", "row 3: .* group is empty"),
        ("path,group\n ,1\n", "row 2: .* path is empty"),
        ("path,group\na, b.png,1\n", "row 2: expected 2 cells; found 3"),
        ('path,group\n"x,1\n', "expected a CSV table"),
        ("path,group\nä,1\n".encode("cp1252").decode("latin-1"), "UTF-8"),
    ],
)
def test_a_table_that_cannot_be_understood_is_named_with_its_row(tmp_path, text, named):
    with pytest.raises(DataError, match=rf"table\.csv.*{named}"):
        read_table(write(tmp_path, text, "latin-1"), ("path", "group"))


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=f"cannot read the table {path}"):
            read_table(path, ("path",))


def test_rows_belong_to_files_however_their_paths_are_written(root, caplog):
    caplog.set_level(logging.INFO)
    written = (NAMES[0].replace("/", "\\"), str(root / NAMES[1]), "./" + unicodedata.normalize("NFD", NAMES[2]))
    table = write(root, "path\n" + "".join(f'"{name}"\n' for name in written))
    assert list(read_scan_table(table, (), root)) == list(NAMES)
    assert "3 paths" in caplog.text
    assert "row 2" in caplog.text


def test_a_name_with_a_backslash_is_that_file(root):
    (root / "a\\b.png").touch()
    assert list(read_scan_table(write(root, "path\na\\b.png\n"), (), root)) == ["a\\b.png"]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("Training/glioma/gone.png", "row 3: there is no file 'Training/glioma/gone.png'"),
        ("Training/glioma", "row 3: there is no file"),
        ("../outside.png", "row 3: there is no file"),
        ("x" * 300, "row 3: there is no file"),
        ("Training/GLIOMA/a.png", "row 3: there is no file"),
        (r"Training\glioma\a.png", "row 3: .*/a.png stands in row 2 too"),
    ],
)
def test_a_row_of_no_file_or_of_one_that_has_a_row_is_named(root, name, named):
    (root.parent / "outside.png").touch()
    with pytest.raises(DataError, match=named):
        read_scan_table(write(root, f"path\n{NAMES[0]}\n{name}\n"), (), root)


@pytest.mark.parametrize(
    ("written", "part"),
    [
        *((part, part) for part in PARTS),
        *(
            (" Train", "train"),
            ("VAL", "validation"),
            ("valid", "validation"),
            ("test ", "test"),
            ("Cal", "calibration"),
        ),
        *(("", None), ("unused", None)),
    ],
)
def test_a_part_is_understood_and_a_reading_mentioned(tmp_path, caplog, written, part):
    caplog.set_level(logging.INFO)
    rows = read_table(write(tmp_path, f"path,split\na,train\nb,{written}\n"), ("path",))
    assert read_parts(rows) == ["train", part]
    assert (f"is read as {part or 'unused'} in 1 rows" in caplog.text) == (written.strip() != (part or "unused"))


@pytest.mark.parametrize("written", ["tset", "0", "train/test", "Testing set"])
def test_another_part_is_refused_with_its_row(tmp_path, written):
    with pytest.raises(DataError, match=rf"row 3: expected a split out of .*; found '{written}'"):
        read_parts(read_table(write(tmp_path, f"path,split\na,train\nb,{written}\n"), ("path",)))


def test_a_split_of_which_nothing_is_used_is_refused(tmp_path):
    with pytest.raises(DataError, match="row 3: expected a split with other parts"):
        read_parts(read_table(write(tmp_path, "path,split\na,\nb,Unused\nc,\n"), ("path",)))
    assert read_parts(read_table(write(tmp_path, "path,split\na,\nb,\n"), ("path",))) == [None, None]
