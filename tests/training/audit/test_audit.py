import shutil

import pytest
from PIL import Image

from tests.samples.phantoms import draw_slice, encode
from training.audit.audit import audit, summarize
from training.errors import DataError


def plant_tree(root, training="Training", testing="Testing", classes=("glioma", "notumor"), form="PNG"):
    """Two splits of two classes, with one copy of every kind between and inside them."""
    pictures = [Image.fromarray(draw_slice(seed)) for seed in range(12)]
    flip = Image.Transpose.FLIP_LEFT_RIGHT
    contents = {
        f"{testing}/{classes[0]}/same": encode(pictures[0], form),
        f"{testing}/{classes[0]}/mirrored": encode(pictures[1].transpose(flip), form),
        f"{testing}/{classes[1]}/own": encode(pictures[10], form),
        f"{testing}/{classes[1]}/jpeg": encode(pictures[6], "JPEG", quality=60),
        f"{training}/{classes[0]}/resized": encode(pictures[2].resize((150, 140)), form),
        f"{training}/{classes[1]}/conflict": encode(pictures[3].transpose(flip), form),
        f"{training}/{classes[1]}/broken": b"no image",
        f"{training}/{classes[1]}/blank": encode(Image.new("L", (64, 64)), form),
    }
    for index in range(10):
        name = classes[index > 4]
        contents[f"{training}/{name}/{index}"] = encode(pictures[index], form)
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.img").write_bytes(data)
    return root


@pytest.mark.parametrize(
    "options", [{}, {"training": "train", "testing": "test-set", "classes": ("1", "zwei"), "form": "TIFF"}]
)
def test_everything_planted_is_found_and_nothing_else(tmp_path, options):
    found = summarize(audit(plant_tree(tmp_path, **options)))
    expected = {
        "files": 18,
        "images": 16,
        "unreadable": 2,
        "groups": 11,
        "largest_group": 2,
        "exact_copies": 1,
        "near_copies": 2,
        "mirrored_copies": 2,
        "pairs": 5,
        "pairs_across_splits": 3,
        "groups_across_splits": 3,
        "testing_images": 4,
        "testing_with_copy_in_training": 3,
        "testing_with_copy_in_training_without_mirroring": 2,
        "testing_with_identical_bytes_in_training": 1,
        "testing_with_identical_pixels_in_training": 1,
        "label_conflicts": 1,
        "sources": {"unknown": 18},
    }
    assert {name: found[name] for name in expected} == expected
    training, (positive, negative) = options.get("training", "Training"), options.get("classes", ("glioma", "notumor"))
    assert [each["path"] for each in found["unreadable_files"]] == [
        f"{training}/{negative}/blank.img",
        f"{training}/{negative}/broken.img",
    ]
    assert found["label_conflict_pairs"] == [[f"{training}/{positive}/3.img", f"{training}/{negative}/conflict.img"]]
    assert {each["files"] for each in found["largest_groups"]} == {2}


def test_without_splits_the_same_copies_are_found(tmp_path):
    plant_tree(tmp_path / "all")
    (tmp_path / "tree").mkdir()
    for name in ("glioma", "notumor"):
        shutil.copytree(tmp_path / "all" / "Testing" / name, tmp_path / "tree" / name)
        shutil.copytree(tmp_path / "all" / "Training" / name, tmp_path / "tree" / name, dirs_exist_ok=True)
    found = summarize(audit(tmp_path / "tree"))
    assert (found["pairs"], found["pairs_across_splits"], found["label_conflicts"]) == (5, 0, 1)
    assert found["testing_with_copy_in_training"] is None
    assert found["overlaps"] == []


def test_copies_alone_share_a_group(tmp_path):
    found = audit(plant_tree(tmp_path))
    group_of = {
        file.name.removesuffix(".img"): group for file, group in zip(found.files, found.copies.groups, strict=True)
    }
    for first, second in (
        ("Testing/glioma/same", "Training/glioma/0"),
        ("Testing/glioma/mirrored", "Training/glioma/1"),
        ("Training/glioma/resized", "Training/glioma/2"),
        ("Training/notumor/conflict", "Training/glioma/3"),
        ("Testing/notumor/jpeg", "Training/notumor/6"),
    ):
        assert group_of[first] == group_of[second]
    assert len(set(group_of.values())) == len(group_of) - 5


def test_one_class_alone_has_no_shortcuts(tmp_path):
    plant_tree(tmp_path)
    assert audit(tmp_path / "Testing").shortcuts is not None
    shutil.rmtree(tmp_path / "Testing" / "notumor")
    assert summarize(audit(tmp_path / "Testing"))["shortcuts"] is None


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_folder_without_a_usable_image_is_an_error(tmp_path, content):
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "a" / "file.png").write_bytes(content)
    with pytest.raises(DataError, match=r"image"):
        audit(tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_what_others_measured_on_the_public_data_is_found_again(real_data):
    found = audit(real_data)
    summary = summarize(found)
    assert (summary["images"], summary["unreadable"]) == (7023, 0)
    assert summary["testing_with_copy_in_training"] == pytest.approx(999, abs=5)
    assert summary["testing_with_copy_in_training_without_mirroring"] == pytest.approx(519, abs=5)
    assert summary["testing_with_identical_pixels_in_training"] == pytest.approx(216, abs=2)
    by_class = {name: part["with_copy"] for name, part in summary["testing_with_copy_in_training_by_class"].items()}
    assert by_class == pytest.approx({"glioma": 89, "meningioma": 289, "notumor": 400, "pituitary": 221}, abs=3)
    names = {tuple(path.rsplit("/", 1)[1] for path in pair) for pair in summary["label_conflict_pairs"]}
    assert names == {
        ("Te-me_0156.jpg", "Te-piTr_0002.jpg"),
        ("Tr-me_0831.jpg", "Tr-pi_0520.jpg"),
        ("Tr-me_0942.jpg", "Tr-pi_0515.jpg"),
        ("Tr-me_1311.jpg", "Tr-pi_0043.jpg"),
    }
    assert found.shortcuts is not None
    mode = next(each for each in found.shortcuts.found if each.name == "colour mode")
    assert mode.by_class["glioma"]["L"] == pytest.approx(0.88, abs=0.01)
    assert mode.by_class["notumor"]["L"] == pytest.approx(0.01, abs=0.01)
    assert min(each["weakest_correlation"] for each in summary["largest_groups"]) > 0.9
