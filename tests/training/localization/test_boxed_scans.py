import pytest

from training.data.boxes import Box
from training.errors import DataError
from training.localization.boxed_scans import draw_scans, find_boxed_scans

CLASSES = ("glioma", "notumor", "pituitary")
PARTS = ("train", "validation", "test")


@pytest.fixture
def tables(tmp_path):
    names = [f"Training/{name}/{index}.png" for name in ("glioma", "pituitary") for index in range(6)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    boxes, groups = tmp_path / "boxes.csv", tmp_path / "groups.csv"
    boxes.write_text("path,x0,y0,x1,y1\n" + "".join(f"{name},0.1,0.2,0.3,0.4\n" for name in names), encoding="utf-8")
    parts = ("train", "test", "validation")
    rows = [f"{name},g{index // 2},{parts[index // 2 % 3]}\n" for index, name in enumerate(names)]
    groups.write_text("path,group,split\n" + "".join(rows), encoding="utf-8")
    return tmp_path, boxes, groups


def test_tables_are_joined_by_path(tables):
    root, boxes, groups = tables
    found = find_boxed_scans(root, boxes, groups, CLASSES)
    assert [boxed.scan.label for boxed in found] == [0] * 6 + [2] * 6
    assert [boxed.scan.group for boxed in found[:4]] == ["g0", "g0", "g1", "g1"]
    assert [boxed.part for boxed in found[:6:2]] == ["train", "test", "validation"]
    assert found[0].box == Box(0.1, 0.2, 0.3, 0.4)
    assert found[0].scan.path == tables[0] / "Training/glioma/0.png"


def test_without_groups_each_scan_is_its_own(tables):
    found = find_boxed_scans(tables[0], tables[1], None, CLASSES)
    assert len({boxed.scan.group for boxed in found}) == len(found)
    assert {boxed.part for boxed in found} == {None}


@pytest.mark.parametrize(
    ("row", "named"),
    [("Training/glioma/gone.png", r"gone\.png"), ("Training/unicorn/1.png", "unicorn"), ("new/glioma/1.png", "groups")],
)
def test_a_box_without_scan_class_or_group_is_named(tables, row, named):
    root, boxes, groups = tables
    (root / "new" / "glioma").mkdir(parents=True)
    (root / "new" / "glioma" / "1.png").touch()
    boxes.write_text(f"path,x0,y0,x1,y1\n{row},0,0,1,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=named):
        find_boxed_scans(root, boxes, groups, CLASSES)


def test_as_many_are_drawn_of_every_class_and_the_same_ones_by_the_same_seed(tables):
    root, boxes, groups = tables
    found = find_boxed_scans(root, boxes, groups, CLASSES)
    drawn = draw_scans(found, 4, seed=3)
    assert [boxed.scan.label for boxed in drawn] == [0] * 4 + [2] * 4
    assert drawn == draw_scans(found, 4, seed=3) != draw_scans(found, 4, seed=4)
    assert draw_scans(found, None, seed=0) == found == draw_scans(found, 100, seed=0)
