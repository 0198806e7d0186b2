import pytest

from training.data.image_tree import find_files
from training.errors import DataError


def _plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def _describe(root, **options):
    return [(file.name, file.split, file.label) for file in find_files(root, **options)]


@pytest.mark.parametrize(
    ("names", "described"),
    [
        (  # class names recur below the top folders
            ("train/yes/a.png", "val/no/deep/d.tif", "val/yes/c.png"),
            [("train", "yes"), ("val", "no"), ("val", "yes")],
        ),
        (("no/b.png", "yes/a.png"), [("", "no"), ("", "yes")]),
        (("no/patient2/b.png", "yes/patient1/a.png"), [("", "no"), ("", "yes")]),
        (("Training/no/b.png", "Training/yes/a.png"), [("Training", "no"), ("Training", "yes")]),  # one split alone
        (("Training/stray.png", "Training/yes/a.png"), [("Training", ""), ("Training", "yes")]),
    ],
)
def test_the_names_of_folders_tell_splits_from_classes(tmp_path, names, described):
    _plant(tmp_path, *reversed(names))
    assert _describe(tmp_path) == [(name, *folders) for name, folders in zip(names, described, strict=True)]


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
