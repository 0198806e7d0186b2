import logging
from pathlib import Path

import pytest

from tests.samples.phantoms import write_data_folder
from training.data.class_map import map_classes
from training.data.scans import Scan
from training.data.splits import find_test_splits, split_data
from training.errors import DataError

BINARY = {"glioma": "tumor", "meningioma": "tumor", "pituitary": "tumor", "notumor": "no_tumor"}
FOLDERS = ("glioma", "meningioma", "notumor", "pituitary")


def test_folders_become_classes_in_the_order_of_their_names():
    mapping = map_classes(FOLDERS, BINARY)
    assert mapping.classes == ("no_tumor", "tumor")
    assert mapping.labels == (1, 1, 0, 1)
    scans = [Scan(Path(name), label, "a") for label, name in enumerate(FOLDERS)]
    assert [(scan.path.name, scan.label, scan.group) for scan in mapping.relabel(scans)] == [
        ("glioma", 1, "a"),
        ("meningioma", 1, "a"),
        ("notumor", 0, "a"),
        ("pituitary", 1, "a"),
    ]


def test_a_card_decides_the_order():
    assert map_classes(FOLDERS, BINARY, ("tumor", "no_tumor")).labels == (0, 0, 1, 0)


def test_folders_that_have_the_classes_already_are_taken_as_they_are():
    assert map_classes(("no_tumor", "tumor"), BINARY).labels == (0, 1)


def test_a_folder_that_the_map_lacks_is_named():
    with pytest.raises(DataError, match="'metastasis'"):
        map_classes(("glioma", "metastasis"), BINARY)


def test_a_single_class_is_an_error():
    with pytest.raises(DataError, match="single class, 'tumor'"):
        map_classes(("glioma", "meningioma"), BINARY)


def test_a_map_changes_labels_and_not_who_goes_where(tmp_path):
    root = write_data_folder(tmp_path)
    plain, mapped = (split_data(root, "official", None, 0, class_map=chosen) for chosen in ({}, BINARY))
    assert mapped.classes == ("no_tumor", "tumor")
    assert (plain.class_map, mapped.class_map) == ({}, {"glioma": "tumor", "notumor": "no_tumor"})
    for part in ("train", "validation", "calibration"):
        before, after = getattr(plain, part), getattr(mapped, part)
        assert [scan.path for scan in before] == [scan.path for scan in after]
        assert [1 - scan.label for scan in before] == [scan.label for scan in after]
    for test in find_test_splits(root, mapped.classes, None, mapped.class_map):
        assert all(scan.label == (scan.path.parent.name == "glioma") for scan in test.scans)


def test_classes_that_look_alike_are_refused():
    with pytest.raises(DataError, match="differ by case or blanks alone"):
        map_classes(FOLDERS, BINARY | {"glioma": "Tumor "})


def test_folders_of_the_map_that_are_not_there_are_mentioned(caplog):
    caplog.set_level(logging.INFO)
    map_classes(("glioma", "notumor"), BINARY)
    assert "no folder for meningioma, pituitary" in caplog.text
