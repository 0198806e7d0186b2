import pytest

from training.data.image_tree import find_files
from training.errors import DataError


def _plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def _describe(root, **options):
    return [(file.name, file.split, file.label) for file in find_files(root, **options)]


def test_splits_are_the_top_folders_if_class_names_recur_below_them(tmp_path):
    _plant(tmp_path, "train/yes/b.png", "train/yes/a.png", "val/yes/c.png", "val/no/deep/d.tif")
    assert _describe(tmp_path) == [
        ("train/yes/a.png", "train", "yes"),
        ("train/yes/b.png", "train", "yes"),
        ("val/no/deep/d.tif", "val", "no"),
        ("val/yes/c.png", "val", "yes"),
    ]


def test_a_tree_without_splits_has_classes_on_top(tmp_path):
    _plant(tmp_path, "yes/a.png", "no/b.png")
    assert _describe(tmp_path) == [("no/b.png", "", "no"), ("yes/a.png", "", "yes")]


def test_folders_of_patients_are_not_classes(tmp_path):
    _plant(tmp_path, "yes/patient1/a.png", "no/patient2/b.png")
    assert _describe(tmp_path) == [("no/patient2/b.png", "", "no"), ("yes/patient1/a.png", "", "yes")]


def test_one_split_alone_is_a_split(tmp_path):
    _plant(tmp_path, "Training/yes/a.png", "Training/no/b.png")
    assert {split for _, split, _ in _describe(tmp_path)} == {"Training"}


def test_a_file_beside_the_class_folders_has_no_class(tmp_path):
    _plant(tmp_path, "Training/yes/a.png", "Training/stray.png")
    assert _describe(tmp_path)[0] == ("Training/stray.png", "Training", "")


def test_hidden_files_and_the_root_and_the_output_are_passed_over(tmp_path):
    _plant(tmp_path, "yes/a.png", "yes/.DS_Store", ".git/x", "README.md", "audit/report.html", "no/b.png")
    assert [name for name, _, _ in _describe(tmp_path, skip=tmp_path / "audit")] == ["no/b.png", "yes/a.png"]


def test_folders_may_be_links(tmp_path):
    _plant(tmp_path, "store/a.png", "tree/no/b.png")
    (tmp_path / "tree" / "yes").symlink_to(tmp_path / "store")
    assert [name for name, _, _ in _describe(tmp_path / "tree")] == ["no/b.png", "yes/a.png"]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_images_is_named(tmp_path, name):
    with pytest.raises(DataError, match=r"expected images in"):
        find_files(tmp_path / name)
