import csv
import logging
import shutil

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.samples.phantoms import write_data_folder
from training.data.carving import Fold
from training.data.splits import find_test_splits, split_data
from training.errors import DataError

CLASSES = ("glioma", "notumor")


@pytest.fixture
def folder(tmp_path):
    return write_data_folder(tmp_path / "data", num_scans=20)


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    return write_data_folder(tmp_path_factory.mktemp("small") / "data", num_scans=10, size=32)


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
    data = split_data(folder, "grouped", table, 0, Fold(index + 1, 3))
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


def test_a_fixed_split_decides_unless_another_is_asked_for(folder, caplog):
    caplog.set_level(logging.INFO)
    table = _write_table(folder, lambda index: ("train", "val", "Test")[index % 3])
    assert split_data(folder, None, table, seed=0) == split_data(folder, "grouped", table, seed=0)
    assert split_data(folder, None, None, seed=0).name == "official"
    assert "not its split" not in caplog.text
    split_data(folder, "official", table, seed=0)
    assert "and not its split" in caplog.text


def test_without_validation_rows_they_are_taken_from_training_and_never_from_the_test(folder, caplog):
    """As a table of 48 and 16 rows, which was once divided anew."""
    caplog.set_level(logging.INFO)
    table = _write_table(folder, lambda index: "test" if index % 4 == 3 else "train")
    data = split_data(folder, None, table, seed=0)
    assert {int(group[1:]) % 4 for group in _groups(data.tests[0].scans)} == {3}
    assert len(data.tests[0].scans) == 13
    assert len(data.train) + len(data.validation) + len(data.calibration) == 39
    assert min(len(data.train), len(data.validation), len(data.calibration)) > 0
    assert "no validation rows" in caplog.text


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_fixed_split_without_scans_to_train_or_test_on_is_refused(folder, part):
    other = {"train": "test", "test": "train"}[part]
    table = _write_table(folder, lambda index: (other, "validation")[index % 2])
    with pytest.raises(DataError, match=f"groups.csv: the split has no {part} rows"):
        split_data(folder, None, table, seed=0)


def test_rows_of_no_scan_are_refused(folder):
    table = _write_table(folder, lambda _: "")
    (folder / "Validation").mkdir()
    (folder / "Validation" / "x.png").touch()
    with table.open("a", encoding="utf-8") as file:
        file.write("Validation/x.png,g,\n")
    with pytest.raises(DataError, match=r"row 54: Validation/x\.png is no scan"):
        split_data(folder, "grouped", table, seed=0)


def test_class_folders_alone_are_divided_by_groups(folder):
    flat = folder / "Training"
    data = split_data(flat, None, None, seed=0)
    assert (data.name, data.classes, [test.name for test in data.tests]) == ("grouped", CLASSES, ["grouped_test"])
    assert len({*data.train, *data.validation, *data.calibration, *data.tests[0].scans}) == 40
    for name in ("official", "common"):
        with pytest.raises(DataError, match=f"the {name} split needs Training/CLASS/"):
            split_data(flat, name, None, seed=0)


def test_splits_of_other_names_are_no_classes(folder):
    (folder / "Training").rename(folder / "train")
    with pytest.raises(DataError, match=r"expected .*/Training/CLASS/ or .*; found the splits Testing, train"):
        split_data(folder, None, None, seed=0)


def test_a_link_from_training_to_testing_adds_no_scan(folder):
    (folder / "Training" / "glioma" / "more").symlink_to(folder / "Testing" / "glioma")
    data = split_data(folder, None, None, seed=0)
    learnt = {scan.path for scan in (*data.train, *data.validation, *data.calibration)}
    assert len(learnt) == 40
    assert len(data.tests[0].scans) == 12


SPELLINGS = {
    "train": ("train", "Training", " TRAIN"),
    "validation": ("val", "valid", "Validation "),
    "calibration": ("calibration", "Cal"),
    "test": ("test", "TEST ", "testing"),
    "unused": ("", "unused"),
    "unknown": ("tset", "holdout"),
}


@pytest.mark.parametrize("name", [None, "grouped", "common", "fold"])
@given(random=st.randoms(use_true_random=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_table_holds_no_test_scan_is_learnt_from(small_folder, name, random):
    """Either the table is refused, or no scan or group that is learnt from is in a test part, in any spelling."""
    names = sorted(path.relative_to(small_folder).as_posix() for path in small_folder.glob("*/*/*.png"))
    weights = [8, random.choice([0, 4]), 2, 5, random.choice([0, 1]), random.choice([0, 0, 0.5])]
    parts = random.choices([*SPELLINGS], weights, k=12)
    group_of = {name: f"{name.split('/')[1]} {random.randrange(12)}" for name in names}
    part_of = {name: parts[int(group.split()[1])] for name, group in group_of.items()}
    if random.random() < 0.1:
        part_of[random.choice(names)] = random.choice([*SPELLINGS])
    rows = [
        [random.choice([name, name.replace("/", "\\")]), group_of[name], random.choice(SPELLINGS[part_of[name]])]
        for name in random.sample(names, len(names))
    ]
    table = small_folder.parent / "random.csv"
    with table.open("w", newline="", encoding=random.choice(["utf-8", "utf-8-sig", "utf-16"])) as file:
        csv.writer(file).writerows([["path", "group", "Split"], *rows])
    fold = Fold(1, 3) if name == "fold" else None
    try:
        found = split_data(small_folder, "grouped" if fold else name, table, 0, fold)
    except DataError as error:
        event(str(error).rpartition(":")[2])
        return
    event("divided")
    learnt = (*found.train, *found.validation, *found.calibration)
    seen = {part_of[scan.path.relative_to(small_folder).as_posix()] for scan in learnt}
    assert seen <= {"train", "validation", "calibration"}
    assert not _groups(learnt) & _groups(found.tests[-1].scans)


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
