import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.command_line import main
from tests.phantoms import CLASSES, draw_scan, encode


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "b.png").write_bytes(encode(draw_scan(64, seed=1)))
    (tmp_path / "in" / "deep" / "a.jpg").write_bytes(encode(draw_scan(64, seed=2), "JPEG"))
    (tmp_path / "in" / ".hidden").write_bytes(b"")
    return tmp_path / "in"


def test_predict_writes_a_row_an_image(tiny_pair, folder, capsys):
    assert main(["predict", str(folder), "--weights", str(tiny_pair[1])]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == [str(folder / "b.png"), str(folder / "deep" / "a.jpg")]
    assert all(row["prediction"] in CLASSES for row in rows)


def test_a_broken_file_is_a_row_and_a_status(tiny_pair, folder, tmp_path, caplog):
    (folder / "c.png").write_bytes(b"broken")
    output = tmp_path / "out.csv"
    arguments = ["predict", str(folder), str(folder / "missing.png"), "--weights", str(tiny_pair[1])]
    assert main([*arguments, "--format", "csv", "--output", str(output)]) == 1
    rows = list(csv.DictReader(io.StringIO(output.read_text(encoding="utf-8"))))
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    assert sum(float(rows[0][f"p_{name}"]) for name in CLASSES) == pytest.approx(1)
    assert "2 of 4 images" in caplog.text


def test_the_table_shows_the_set_and_the_review(calibrated_pair, folder, tmp_path):
    output = tmp_path / "out.csv"
    arguments = ["predict", str(folder), "--format", "csv", "--output", str(output)]
    assert main([*arguments, "--weights", str(calibrated_pair[1])]) == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text(encoding="utf-8"))))
    for row in rows:
        assert row["prediction"] in row["prediction_set"].split()
        assert row["review"] in {"none", "consider", "required"}


def test_without_calibration_those_columns_are_empty(tiny_pair, folder, capsys):
    assert main(["predict", str(folder), "--format", "csv", "--weights", str(tiny_pair[1])]) == 0
    for row in csv.DictReader(io.StringIO(capsys.readouterr().out)):
        assert row["prediction_set"] == row["review"] == ""


def test_folders_without_files_are_an_error(tiny_pair, tmp_path, caplog):
    assert main(["predict", str(tmp_path), "--weights", str(tiny_pair[1])]) == 1
    assert "no file" in caplog.text


def test_a_reader_that_has_seen_enough_is_no_error_to_report(tiny_pair, folder):
    for index in range(30):
        (folder / f"copy-{index}.png").write_bytes(encode(draw_scan(64, seed=index)))
    command = [sys.executable, "-m", "model", "predict", str(folder), "--weights", str(tiny_pair[1])]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_without_torch_an_export_says_what_is_missing(tiny_pair, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "model.export", None)
    assert main(["export", str(tiny_pair[0]), str(tmp_path / "new.onnx")]) == 1
    assert "requirements.txt" in caplog.text


@pytest.mark.parametrize("index", [0, 1])
def test_info_shows_the_card(tiny_pair, index, capsys):
    assert main(["info", str(tiny_pair[index])]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == list(CLASSES)


def test_info_spares_the_reader_the_detector_s_arrays(calibrated_pair, capsys):
    assert main(["info", str(calibrated_pair[1])]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["outlier_detector"]["percentile"] == 99
    assert "float16" not in text


def test_export_and_verify(tiny_pair, tmp_path, capsys):
    target = tmp_path / "new.onnx"
    assert main(["export", str(tiny_pair[0]), str(target)]) == 0
    assert main(["verify", str(tiny_pair[0]), str(target)]) == 0
    assert "both engines agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "missing.onnx"],
        ["info", "missing.pth"],
        ["verify", "missing.txt"],
        ["export", "missing.pth", "new.onnx"],
        ["predict", "scan.png", "--weights", "missing.onnx"],
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert len(caplog.records) == 1
    assert "missing" in caplog.text


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["predict"], ["predict", "x", "--format", "xml"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
