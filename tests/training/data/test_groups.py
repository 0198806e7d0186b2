import pytest

from training.data.groups import GroupRow, load_groups
from training.errors import DataError


@pytest.fixture
def load(tmp_path):
    """Reads a table of files that are there."""

    def run(text: str) -> dict[str, GroupRow]:
        for line in text.splitlines()[1:]:
            file = tmp_path / line.partition(",")[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        (tmp_path / "g.csv").write_text(text, encoding="utf-8")
        return load_groups(tmp_path / "g.csv", tmp_path)

    return run


def test_rows_are_read_by_path_and_other_columns_passed_over(load):
    rows = load("path,patient,group,split\na,p,g1,train\nb,,g2,validation\nc,,g3,test\nd,,g4,unused\n")
    assert rows["a"] == GroupRow("g1", "train")
    assert [row.split for row in rows.values()] == ["train", "validation", "test", None]
    assert [row.number for row in rows.values()] == [2, 3, 4, 5]


def test_a_table_without_a_split_names_none(load):
    assert load("path,group\nx,1\n") == {"x": GroupRow("1", None)}


def test_a_split_that_repeats_the_folders_fixes_none(load):
    rows = load("path,group,split\nTraining/a/x,1,Training\nTesting/a/y,1,Testing\n")
    assert {row.split for row in rows.values()} == {None}
    rows = load("path,group,split\nTraining/a/x,1,Testing\nTesting/a/y,2,Training\n")
    assert [row.split for row in rows.values()] == ["test", "train"]


@pytest.mark.parametrize("text", ["", "file,group\nx,1\n", "path\nx\n", "path,group\nx,\n"])
def test_a_table_without_paths_or_groups_is_refused(load, text):
    with pytest.raises(DataError, match="columns path, group"):
        load(text)


def test_a_group_on_two_sides_is_refused(load):
    with pytest.raises(DataError, match="row 3: group '1' is in two parts of the split: test here, train in row 2"):
        load("path,group,split\nx,1,train\ny,1,test\nz,2,validation\n")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        load_groups(tmp_path / "none.csv", tmp_path)
