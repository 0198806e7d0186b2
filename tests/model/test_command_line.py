import json
import sys

import pytest

from model.command_line import main
from tests.samples.phantoms import CLASSES


def test_without_torch_the_error_of_an_export_names_the_requirements(tiny_pair, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "model.export", None)
    assert main(["export", str(tiny_pair[0]), str(tmp_path / "new.onnx")]) == 1
    assert "requirements.txt" in caplog.text


@pytest.mark.parametrize("index", [0, 1])
def test_info_shows_the_card(tiny_pair, index, capsys):
    assert main(["info", str(tiny_pair[index])]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == list(CLASSES)


def test_info_leaves_out_the_arrays_of_the_detector(calibrated_pair, capsys):
    assert main(["info", str(calibrated_pair[1])]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["outlier_detector"]["percentile"] == 99
    assert "float16" not in text


def test_export_and_verify(tiny_pair, tmp_path, capsys):
    target = tmp_path / "new.onnx"
    assert main(["export", str(tiny_pair[0]), str(target)]) == 0
    assert main(["verify", str(tiny_pair[0]), str(target)]) == 0
    assert "both engines agree" in capsys.readouterr().out


def test_verify_names_what_a_card_lacks(tiny_pair, calibrated_pair, capsys):
    assert main(["verify", str(tiny_pair[1])]) == main(["verify", str(calibrated_pair[1])]) == 0
    lines = capsys.readouterr().out.splitlines()
    lacking = [line.split(" lack ")[1].split(":")[0] for line in lines if " lack " in line]
    whole = ["an outlier threshold that 99 of 100 familiar scans keep", "metrics"]  # after 80 drawings
    assert lacking == ["prediction sets", "a check for outliers", "thresholds for review", "metrics", *whole]


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "missing", "--output", "FILE/rows.jsonl"],
        ["predict", "missing", "--overlays", "FILE"],
        ["predict", "missing", "--dicom", "FILE/results"],
        ["export", "missing.pth", "FILE/new.onnx"],
        ["watch", "scans", "FILE/results"],
    ],
)
def test_outputs_are_tried_before_anything_is_read(arguments, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "scans").mkdir()
    assert main(arguments) == 1
    (message,) = caplog.messages
    assert message.startswith("error: FILE")
    assert "Not a directory" in message


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["predict"], ["predict", "x", "--format", "xml"], ["predict", "x", "--threads", "0"]],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
