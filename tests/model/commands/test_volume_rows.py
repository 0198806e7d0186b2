import re
import sys

import numpy as np
import pytest

from model.classifier import Classifier
from model.commands.volume_rows import NO_HEAD, predict_volume
from model.nifti.slices import SliceChoice
from tests.samples.phantoms import CLASSES
from tests.samples.volumes import SHAPE, draw_volume, save_volume


@pytest.fixture(scope="module")
def classifier(tiny_pair) -> Classifier:
    return Classifier.load(tiny_pair[1])


@pytest.fixture
def path(tmp_path):
    return save_volume(tmp_path / "scan.nii.gz", draw_volume())


def test_each_slice_has_a_row_and_the_volume_one_of_their_means(classifier, path):
    *rows, last = predict_volume(classifier, path, SliceChoice("axial", "all"))
    assert [row.file for row in rows] == [f"{path}#axial:{index}" for index in range(SHAPE[2])]
    assert {row.volume for row in (*rows, last)} == {str(path)}
    assert last.summary
    classified = [row.prediction for row in rows if row.prediction]
    assert all(row.note == (None if row.prediction else NO_HEAD) for row in rows)
    assert 0 < len(classified) < len(rows)
    assert (last.file, last.note) == (f"{path}#volume", None)
    summary = last.summary
    assert (summary.num_slices, summary.num_judged) == (len(rows), len(classified))
    assert sum(summary.slices_by_class.values()) == len(classified)
    assert summary.probabilities
    for name in CLASSES:
        assert summary.probabilities[name] == pytest.approx(np.mean([each.probabilities[name] for each in classified]))
    assert summary.model == classifier.identity


def test_a_volume_without_a_head_has_counts_only(classifier, tmp_path):
    path = save_volume(tmp_path / "scan.nii", draw_volume() * (np.arange(SHAPE[2]) == 30))
    *_, last = predict_volume(classifier, path, SliceChoice("axial", "3"))
    assert last.note == NO_HEAD
    assert last.summary
    assert (last.summary.prediction, last.summary.num_slices, last.summary.num_judged) == (None, 1, 0)


def test_each_slice_with_a_head_has_a_picture(classifier, path, tmp_path):
    rows = list(predict_volume(classifier, path, SliceChoice("axial", "all"), tmp_path / "out" / "scan.nii.gz.png"))
    drawn = [str(row.overlay) for row in rows if row.prediction]
    assert sorted(drawn) == sorted(str(found) for found in (tmp_path / "out").iterdir())
    assert str(tmp_path / "out" / "scan.nii.gz-axial-30.png") in drawn


def test_the_command_writes_the_rows_of_a_volume(predict, path):
    part, summary = predict(path)
    assert part["input"]["format"] == "NIfTI"
    assert summary["prediction"] == part["prediction"]
    assert len(predict(path, "--slice", "coronal:all")) == SHAPE[1] + 1


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_run_that_ended_within_a_volume_is_resumed_to_the_same_rows(predict, path, tmp_path, form):
    output = tmp_path / "rows"
    other = save_volume(tmp_path / "a.nii", draw_volume())
    arguments = [other, path, "--slice", "axial:all", "--format", form, "--output", output]
    predict(*arguments)
    names = read_names(output)
    assert len(names) == len(set(names)) == 2 * (SHAPE[2] + 1) + (form == "csv")
    data = output.read_bytes()
    output.unlink()
    for fraction in (0.3, 0.7):
        output.with_name("rows.part").write_bytes(data[: int(len(data) * fraction)])
        predict(*arguments, "--resume")
        assert read_names(output) == names
        output.unlink()


def read_names(output):
    return [re.split(rb'[,"]', line)[3 if line.startswith(b"{") else 0] for line in output.read_bytes().splitlines()]


def test_a_broken_volume_is_a_row_and_a_status(predict, tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"broken")
    rows = predict(tmp_path / "scan.nii.gz", tmp_path / "missing.nii", status=1)
    assert [list(row) for row in rows] == [["file", "error"]] * 2


def test_without_the_package_a_volume_is_a_row_with_an_error(classifier, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "model.nifti.volume", None)
    (row,) = predict_volume(classifier, path, SliceChoice("axial", "middle"))
    assert "requirements/nifti.txt" in str(row.error)
