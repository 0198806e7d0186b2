import pytest

from training.data.groups import GroupRow, load_groups
from training.errors import DataError


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_read_by_path_and_other_columns_passed_over(tmp_path):
    text = "path,patient,group,split\na,p,g1,train\nb,,g2,validation\nc,,g3,test\nd,,g4,unused\n"
    rows = load_groups(_write(tmp_path / "g.csv", text))
    assert rows["a"] == GroupRow("g1", "train")
    assert [row.split for row in rows.values()] == ["train", "validation", "test", None]


def test_a_table_without_a_split_names_none(tmp_path):
    assert load_groups(_write(tmp_path / "g.csv", "path,group\nx,1\n")) == {"x": GroupRow("1", None)}
    folders = _write(tmp_path / "h.csv", "path,group,split\nx,1,train\ny,1,test\n")
    assert {row.split for row in load_groups(folders).values()} == {None}


@pytest.mark.parametrize("text", ["", "file,group\nx,1\n", "path\nx\n", "path,group\nx,\n"])
def test_a_table_without_paths_or_groups_is_refused(tmp_path, text):
    path = _write(tmp_path / "g.csv", text)
    if text:
        with pytest.raises(DataError, match="columns path, group"):
            load_groups(path)
    else:
        assert load_groups(path) == {}


def test_a_group_on_two_sides_is_refused(tmp_path):
    path = _write(tmp_path / "g.csv", "path,group,split\nx,1,train\ny,1,test\nz,2,validation\n")
    with pytest.raises(DataError, match="group 1 is in two parts"):
        load_groups(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        load_groups(tmp_path / "none.csv")
