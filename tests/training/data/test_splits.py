import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.samples.phantoms import write_data_folder
from training.data.scans import Scan
from training.data.splits import GROUPED_FRACTIONS, Fold, carve, find_test_splits, split_data
from training.errors import DataError

CLASSES = ("glioma", "notumor")


@pytest.fixture
def folder(tmp_path):
    return write_data_folder(tmp_path / "data", num_scans=20)


def _write_table(folder, split_of):
    files = sorted(folder.glob("*/*/*.png"))
    names = [path.relative_to(folder).as_posix() for path in files]
    rows = [f"{name},g{index},{split_of(index)}" for index, name in enumerate(names)]
    table = folder.parent / "groups.csv"
    table.write_text("path,group,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return table


def _groups(scans):
    return {scan.group for scan in scans}


@pytest.mark.parametrize("name", ["official", "grouped"])
def test_parts_share_no_group_and_lose_no_scan(folder, name):
    shutil.copy(folder / "Testing" / "glioma" / "Testing-0.png", folder / "Training" / "glioma" / "copy.png")
    data = split_data(folder, name, None, seed=0)
    parts = [data.train, data.validation, data.calibration]
    if name == "grouped":
        parts.append(data.tests[0].scans)
        assert sum(map(len, parts)) == len(list(folder.glob("*/*/*.png")))
    groups = [_groups(part) for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize("index", range(3))
def test_no_group_is_in_two_parts_of_a_fold(folder, index):
    """Groups of four scans: folds by single scans, or a validation part carved from them, would tear some apart."""
    table = folder.parent / "patients.csv"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.png"))
    rows = [f"{name},{name.split('/')[1]} {number // 4}" for number, name in enumerate(names)]
    table.write_text("path,group\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = split_data(folder, "grouped", table, 0, Fold(index, 3))
    parts = [_groups(part) for part in (data.train, data.validation, data.calibration, data.tests[0].scans)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 14


def test_the_copy_free_test_lacks_what_has_a_copy_in_training(folder):
    shutil.copy(folder / "Testing" / "glioma" / "Testing-0.png", folder / "Training" / "glioma" / "copy.png")
    official, free = split_data(folder, "official", None, seed=0).tests
    assert (official.name, free.name) == ("official_test", "copy_free_test")
    missing = {scan.path.name for scan in official.scans} - {scan.path.name for scan in free.scans}
    assert len(official.scans) - len(free.scans) == 1
    assert {"Testing-0.png"} >= missing


def test_a_patient_seen_in_training_is_no_copy(folder):
    table = folder.parent / "patients.csv"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.png"))
    rows = [f"{name},{name.split('/')[1]} {index % 4}" for index, name in enumerate(names)]
    table.write_text("path,group\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with_table, without = (find_test_splits(folder, CLASSES, groups)[1].scans for groups in (table, None))
    assert [scan.path for scan in with_table] == [scan.path for scan in without]
    assert _groups(with_table) == {f"{name} {index}" for name in CLASSES for index in range(4)}


def test_a_table_with_a_fixed_split_decides(folder):
    parts = ("train", "validation", "calibration", "test")
    table = _write_table(folder, lambda index: parts[index % 4])
    data = split_data(folder, "grouped", table, seed=0)
    assert {int(group[1:]) % 4 for group in _groups(data.tests[0].scans)} == {3}
    assert {int(group[1:]) % 4 for group in _groups(data.train)} == {0}


def test_common_training_has_seen_no_test_scan(folder):
    parts = ("train", "validation", "calibration", "test")
    table = _write_table(folder, lambda index: parts[index % 4])
    grouped, common = (split_data(folder, name, table, seed=0) for name in ("grouped", "common"))
    for part in parts[:3]:
        expected = [scan for scan in getattr(grouped, part) if scan.path.parents[1].name == "Training"]
        assert list(getattr(common, part)) == expected
    official = split_data(folder, "official", table, seed=0).tests
    assert common.tests == (*official, *grouped.tests)


def test_the_common_split_needs_a_table_with_a_split(folder):
    table = folder.parent / "groups.csv"
    names = [path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.png")]
    table.write_text("path,group\n" + "".join(f"{name},{name}\n" for name in names), encoding="utf-8")
    for groups in (None, table):
        with pytest.raises(DataError, match="needs a table"):
            split_data(folder, "common", groups, seed=0)


def test_everything_that_can_be_reported_on_is_found(folder):
    table = _write_table(folder, lambda index: ("test", "train", "validation")[index % 3])
    names = [split.name for split in find_test_splits(folder, CLASSES, table)]
    assert names == ["official_test", "copy_free_test", "grouped_test"]
    assert [split.name for split in find_test_splits(folder, CLASSES, None)] == ["official_test", "copy_free_test"]
    shutil.rmtree(folder / "Testing")
    with pytest.raises(DataError, match="nothing to report on"):
        find_test_splits(folder, CLASSES, None)


def test_an_image_that_the_table_lacks_is_named(folder):
    table = _write_table(folder, lambda _: "")
    (folder / "Training" / "glioma" / "new.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"lacks 1 of .*new\.png"):
        split_data(folder, "official", table, seed=0)


def test_too_few_groups_are_an_error(folder):
    table = folder.parent / "one.csv"
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*/*.png"))]
    table.write_text("path,group\n" + "".join(f"{name},{name.split('/')[1]}\n" for name in names), encoding="utf-8")
    with pytest.raises(DataError, match="too few groups"):
        split_data(folder, "grouped", table, seed=0)


def _scans(seed):
    generator = np.random.default_rng(seed)
    sizes = generator.geometric(0.15, 300)
    return [
        Scan(Path(f"{group}-{index}"), group % 4, f"g{group}")
        for group, size in enumerate(sizes)
        for index in range(size)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_carved_parts_are_whole_stratified_and_seeded(seed):
    scans = _scans(seed)
    parts = carve(scans, GROUPED_FRACTIONS, seed)
    assert sum(len(part) for part in parts.values()) == len(scans)
    assert len(set.union(*map(_groups, parts.values()))) == sum(len(_groups(part)) for part in parts.values())
    for label in range(4):
        total = sum(scan.label == label for scan in scans)
        for name, fraction in GROUPED_FRACTIONS.items():
            assert sum(scan.label == label for scan in parts[name]) / total == pytest.approx(fraction, abs=0.03)
    assert carve(scans, GROUPED_FRACTIONS, seed) == parts
    assert carve(scans, GROUPED_FRACTIONS, seed + 1) != parts
