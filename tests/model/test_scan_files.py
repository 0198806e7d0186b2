import os
from pathlib import Path

import pytest

from model import scan_files
from model.scan_files import find_image_files, read_file, walk_folders
from tests.samples.dicoms import make_study
from tests.samples.phantoms import draw_scan, encode


def plant(root, *names, data=b"x"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def walk(*roots, **options):
    return [(str(file.path.relative_to(roots[0])), file.problem) for file in walk_folders(*roots, **options)]


def test_each_real_folder_is_listed_once_by_its_own_name_where_it_has_one(tmp_path):
    """Links to a parent, to the folder around the root, to a sibling, in a circle, and two to a folder elsewhere."""
    root = tmp_path / "around" / "tree"
    plant(root, "a/1.png", "b/2.png", "b/deep/3.png")
    plant(tmp_path, "around/outside.png", "store/4.png")
    links = {
        "a/up": root,
        "b/around": tmp_path / "around",
        "0": root / "b",
        "a/c": root / "b/deep",
        "b/deep/c": root / "a",
    }
    for name, target in (links | {"x": tmp_path / "store", "y": tmp_path / "store"}).items():
        (root / name).symlink_to(target)
    assert walk(root) == [(name, "") for name in ("a/1.png", "b/2.png", "b/deep/3.png", "x/4.png")]


def test_roots_share_what_was_listed(tmp_path):
    plant(tmp_path, "Training/a/1.png", "Testing/a/2.png")
    (tmp_path / "Training" / "a" / "more").symlink_to(tmp_path / "Testing" / "a")
    found = [file.path for file in walk_folders(tmp_path / "Training", tmp_path / "Testing")]
    assert found == [tmp_path / "Testing/a/2.png", tmp_path / "Training/a/1.png"]


def test_a_root_that_is_a_link_to_another_lists_nothing(tmp_path):
    plant(tmp_path, "Training/a/1.png")
    (tmp_path / "Testing").symlink_to(tmp_path / "Training")
    for roots in ("Training", "Testing"), ("Testing", "Training"):
        found = [file.path for file in walk_folders(*(tmp_path / name for name in roots))]
        assert found == [tmp_path / "Training/a/1.png"]
    assert len(walk_folders(tmp_path / "Testing")) == 1


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path, monkeypatch):
    plant(tmp_path, "a/1.png", "locked/2.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    iterdir = Path.iterdir

    def refuse(folder):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)  # for tests may run as root, whom no mode stops
    found = dict(walk(tmp_path))
    assert found["a/1.png"] == ""
    assert "symbolic links" in found["circle"]
    assert "leads to no file" in found["gone.png"]
    assert "Permission denied" in found["locked"]
    assert len(found) == 4


def test_pipes_and_foreign_files_and_the_results_are_passed_over(tmp_path):
    plant(tmp_path, "a.png", "Thumbs.db", "._a.png", "a.TXT", ".git/b.png", "out/c.png", "DICOMDIR", "b.txt/d.png")
    os.mkfifo(tmp_path / "pipe")
    assert [name for name, _ in walk(tmp_path, skip=[tmp_path / "out"])] == ["a.png", "b.txt/d.png"]
    assert [name for name, _ in walk(tmp_path / "out", skip=[tmp_path / "out"])] == ["c.png"]


def test_images_are_known_by_their_bytes_where_the_name_says_nothing(tmp_path):
    scan = draw_scan(64)
    forms = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
    files = {form: encode(scan, form) for form in forms} | {"IM1.IMA": make_study(scan[:, :, 0])}
    others = {"README": b"BM, a text", "x.zip": b"PK", "y": b"", "z.nii.gz": b"", "w.jpg": b"", "v.txt": files["PNG"]}
    for name, data in (files | others).items():
        plant(tmp_path, name, data=data)
    found = {file.path.name for file in find_image_files(tmp_path)}
    assert found == {*files, "z.nii.gz", "w.jpg"}


def test_a_file_is_read_up_to_a_limit(tmp_path, monkeypatch):
    plant(tmp_path, "a", data=b"1234")
    monkeypatch.setattr(scan_files, "MAX_FILE_BYTES", 4)
    assert read_file(tmp_path / "a") == b"1234"
    for path in (plant(tmp_path, "b", data=b"12345") or tmp_path / "b", Path("/dev/zero")):
        with pytest.raises(OSError, match="at most 4 bytes"):
            read_file(path)
