import json
import sys

import numpy as np
import pytest

from model.classifier import Classifier
from model.command_line import main
from model.volume_rows import NO_HEAD, predict_volume, summarise
from model.volume_slices import SliceChoice
from tests.phantoms import CLASSES
from tests.volumes import SHAPE, draw_volume, save_volume


@pytest.fixture(scope="module")
def classifier(tiny_pair) -> Classifier:
    return Classifier.load(tiny_pair[1])


@pytest.fixture
def path(tmp_path):
    return save_volume(tmp_path / "scan.nii.gz", draw_volume())


def test_each_slice_has_a_row_and_the_volume_one_of_their_means(classifier, path):
    *rows, summary = predict_volume(classifier, path, SliceChoice("axial", "all"))
    assert [row["file"] for row in rows] == [f"{path}#axial:{index}" for index in range(SHAPE[2])]
    judged = [row for row in rows if "probabilities" in row]
    assert all(row == {"file": row["file"], "note": NO_HEAD} for row in rows if row not in judged)
    assert 0 < len(judged) < len(rows)
    assert summary["file"] == f"{path}#volume"
    assert (summary["num_slices"], summary["num_judged"]) == (len(rows), len(judged))
    assert sum(summary["slices_by_class"].values()) == len(judged)
    for name in CLASSES:
        assert summary["probabilities"][name] == pytest.approx(np.mean([row["probabilities"][name] for row in judged]))


def test_a_volume_without_a_head_has_counts_only(classifier):
    summary = summarise([], 7, classifier.card.classes)
    assert summary["note"] == NO_HEAD
    assert "prediction" not in summary


def test_the_command_writes_the_rows_of_a_volume(tiny_pair, path, tmp_path, capsys):
    arguments = ["predict", str(path), "--weights", str(tiny_pair[1])]
    assert main(arguments) == 0
    part, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert part["input"]["format"] == "NIfTI"
    assert summary["prediction"] == part["prediction"]
    assert main([*arguments, "--slice", "coronal:all", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + SHAPE[1] + 1


def test_a_broken_volume_is_a_row_and_a_status(tiny_pair, tmp_path, capsys):
    (tmp_path / "scan.nii.gz").write_bytes(b"broken")
    names = [str(tmp_path / "scan.nii.gz"), str(tmp_path / "missing.nii")]
    assert main(["predict", *names, "--weights", str(tiny_pair[1])]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(row) for row in rows] == [["file", "error"]] * 2


def test_without_the_package_a_volume_is_a_row_with_an_error(classifier, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "model.volume", None)
    (row,) = predict_volume(classifier, path, SliceChoice("axial", "middle"))
    assert "requirements-nifti.txt" in row["error"]
