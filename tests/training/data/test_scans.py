import shutil

import pytest

from tests.samples.phantoms import draw_scan, encode, write_data_folder
from training.data.image_tree import find_files
from training.data.scans import check_scans, find_scans
from training.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return write_data_folder(tmp_path, num_scans=6)


def test_scans_are_found_in_order_with_their_labels(folder):
    (folder / "Training" / "glioma" / ".DS_Store").write_bytes(b"")
    found = find_scans(folder, "Training")
    assert found.classes == ("glioma", "notumor")
    assert [scan.label for scan in found.scans] == [0] * 6 + [1] * 6
    assert all(scan.path.parent.name == found.classes[scan.label] for scan in found.scans)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda root: shutil.rmtree(root / "Training"), "Training: there is no such folder"),
        (lambda root: shutil.rmtree(root / "Training" / "glioma"), "two class folders"),
        (lambda root: [path.unlink() for path in (root / "Training" / "glioma").iterdir()], r"images in .*glioma"),
        (lambda root: (root / "Training" / "stray.png").write_text("x"), r"stray\.png"),
    ],
)
def test_a_malformed_folder_is_named(folder, change, named):
    change(folder)
    with pytest.raises(DataError, match=named):
        find_scans(folder, "Training")


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "._scan.jpg", "README.txt", "groups.CSV", "__MACOSX/._x"])
def test_what_systems_and_people_leave_beside_scans_is_no_scan(folder, name):
    before = [find_scans(folder, split) for split in ("Training", "Testing")]
    for place in ("", "Training", "Training/glioma", "Testing", "Testing/notumor"):
        (folder / place / name).parent.mkdir(exist_ok=True)
        (folder / place / name).write_bytes(b"x")
    assert [find_scans(folder, split) for split in ("Training", "Testing")] == before
    assert {file.path for file in find_files(folder)} == {scan.path for found in before for scan in found.scans}


def test_scans_may_lie_in_folders_of_patients(folder):
    before = find_scans(folder, "Training")
    (folder / "Training" / "glioma" / "patient").mkdir()
    for path in (folder / "Training" / "glioma").glob("*.png"):
        path.rename(path.parent / "patient" / path.name)
    after = find_scans(folder, "Training")
    assert [(scan.path.name, scan.label) for scan in after.scans] == [
        (scan.path.name, scan.label) for scan in before.scans
    ]


def test_a_link_that_leads_nowhere_is_named(folder):
    (folder / "Training" / "glioma" / "x.png").symlink_to(folder / "nowhere")
    with pytest.raises(DataError, match=r"x\.png: The link leads to no file"):
        find_scans(folder, "Training")


def test_a_class_may_have_the_name_of_a_text_file(folder):
    (folder / "Training" / "glioma").rename(folder / "Training" / "glioma.txt")
    assert find_scans(folder, "Training").classes == ("glioma.txt", "notumor")


@pytest.mark.parametrize(
    ("also", "message"),
    [("Training", r"unknown class: .*unicorn"), (".", r"Training lacks the class of .*Testing/uni")],
)
def test_a_class_that_is_not_known_is_named(folder, also, message):
    for split in ("Testing", also):
        (folder / split / "unicorn").mkdir()
    with pytest.raises(DataError, match=message):
        find_scans(folder, "Testing", ("glioma", "notumor"))


def test_a_class_that_is_missing_is_named(folder):
    with pytest.raises(DataError, match="pituitary"):
        find_scans(folder, "Testing", ("glioma", "notumor", "pituitary"))


@pytest.mark.parametrize("content", [b"", b"no image", encode(draw_scan(48))[:500]])
def test_files_that_cannot_be_used_are_named(folder, content):
    (folder / "Training" / "glioma" / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 13 scans cannot be used: .*bad\.png"):
        check_scans(find_scans(folder, "Training"))


def test_the_manifest_changes_with_any_byte_and_any_label(folder):
    before = check_scans(find_scans(folder, "Training"))
    assert check_scans(find_scans(folder, "Training")) == before
    victim = folder / "Training" / "glioma" / "Training-0.png"
    data = victim.read_bytes()
    victim.write_bytes(encode(draw_scan(48, seed=99)))
    assert check_scans(find_scans(folder, "Training")).sha256 != before.sha256
    victim.unlink()
    (folder / "Training" / "notumor" / "Training-00.png").write_bytes(data)
    assert check_scans(find_scans(folder, "Training")).sha256 != before.sha256
