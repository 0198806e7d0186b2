import shutil

import pytest

from tests.samples.phantoms import draw_scan, encode
from training.data.external_scans import find_external_test
from training.errors import DataError

CLASSES = ("glioma", "notumor", "pituitary")


@pytest.fixture
def images(tmp_path):
    """Two classes of three, at several depths, with a copy of one scan."""
    for index, name in enumerate(("Glioma/1.png", "site/pituitary/patient 1/2.png", "site/pituitary/3.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(draw_scan(48, seed=index)))
    shutil.copy(tmp_path / "Glioma" / "1.png", tmp_path / "Glioma" / "copy.png")
    return tmp_path


def _describe(images, root=None, class_map=None):
    scans = find_external_test(images, CLASSES, class_map or {}).scans
    return [(scan.path.relative_to(root or images).as_posix(), scan.label, scan.group) for scan in scans]


def test_any_folder_named_after_a_class_will_do_and_copies_are_one_group(images):
    first, copy, *others = _describe(images)
    assert (first[:2], copy[:2]) == (("Glioma/1.png", 0), ("Glioma/copy.png", 0))
    assert first[2] == copy[2]
    assert [other[:2] for other in others] == [("site/pituitary/3.png", 2), ("site/pituitary/patient 1/2.png", 2)]
    assert len({group for _, _, group in _describe(images)}) == 3


def test_a_single_class_will_do(images):
    assert {label for _, label, _ in _describe(images / "site", images)} == {2}


def test_folders_may_have_the_names_before_a_class_map(images):
    scans = find_external_test(images, ("no_tumor", "tumor"), {"glioma": "tumor", "pituitary": "tumor"}).scans
    assert {scan.label for scan in scans} == {1}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_table_names_class_and_group(images, tmp_path, absolute):
    prefix = f"{tmp_path}/" if absolute else ""
    rows = [f"{prefix}Glioma/1.png,PITUITARY,a", f"{prefix}site/pituitary/3.png,notumor,a"]
    table = images / "own.csv"
    table.write_text("\n".join(["path,class,group", *rows]), encoding="utf-8")
    assert _describe(table, images) == [("Glioma/1.png", 2, "a"), ("site/pituitary/3.png", 1, "a")]


def test_without_groups_in_a_table_copies_are_grouped(images):
    table = images / "own.csv"
    table.write_text("path,class\nGlioma/1.png,glioma\nGlioma/copy.png,glioma\n", encoding="utf-8")
    (_, _, first), (_, _, copy) = _describe(table, images)
    assert first == copy != ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("path,group\nGlioma/1.png,a", "class"),
        ("path,class\nGlioma/1.png,unicorn", r"row 2: unknown class 'unicorn'; expected glioma"),
        ("path,class\nGlioma/9.png,glioma", r"row 2: .*Glioma/9\.png"),
        ("path,class,group\nGlioma/1.png,glioma,a\nGlioma/copy.png,glioma,", "row 3: expected a group"),
        ("path,class\nGlioma/1.png,glioma\nGlioma/1.png,glioma", "row 3"),
    ],
)
def test_a_row_that_is_not_understood_is_named(images, text, named):
    (images / "own.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=named):
        find_external_test(images / "own.csv", CLASSES, {})


def test_what_is_no_scan_of_a_known_class_is_named(images):
    (images / "site" / "broken").mkdir()
    (images / "site" / "broken" / "4.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"broken/4\.png lies in no folder named after a class"):
        find_external_test(images, CLASSES, {})
    (images / "site" / "broken").rename(images / "site" / "notumor")
    with pytest.raises(DataError, match=r"1 of 5 scans cannot be used: .*4\.png"):
        find_external_test(images, CLASSES, {})
