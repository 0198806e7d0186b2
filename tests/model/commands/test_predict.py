import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from PIL import Image

from model.command_line import main
from model.commands import classification
from tests.samples.dicoms import make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode

ROOT = Path(__file__).parents[3]


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
    assert "no image" in caplog.text


def test_a_reader_that_has_seen_enough_is_no_error_to_report(tiny_pair, folder):
    for index in range(30):
        (folder / f"copy-{index}.png").write_bytes(encode(draw_scan(64, seed=index)))
    command = [sys.executable, "-m", "model", "predict", str(folder), "--weights", str(tiny_pair[1])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.fixture
def many(tmp_path):
    """A folder with enough images that a run can be stopped in the middle; every tenth is broken."""
    folder = tmp_path / "many"
    folder.mkdir()
    images = [encode(draw_scan(400, seed=seed)) for seed in range(10)]
    for index in range(300):
        (folder / f"{index:03}.png").write_bytes(images[index % 10] if index % 10 else b"broken")
    return folder


def start(*arguments):
    command = [sys.executable, "-m", "model", "predict", *map(str, arguments), "--threads", "2"]
    # Whoever runs the tests in the background may ignore SIGINT, and its children would too.
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts)


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_rows(part, num_rows, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if part.exists() and part.read_bytes().count(b"\n") >= num_rows:
            return
        time.sleep(0.002)
    pytest.fail(f"the run came to no {num_rows} rows before it ended")


def without_timings(path):
    """The file's bytes, save for how long things took."""
    if path.suffix == ".jsonl":
        return re.sub(rb'"timing_ms": {[^}]*}', b"", path.read_bytes())
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    timings = [index for index, name in enumerate(rows[0]) if name.endswith("_ms")]
    return [[value for index, value in enumerate(row) if index not in timings] for row in rows]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_run_that_was_stopped_twice_comes_to_the_same_output(tiny_pair, many, tmp_path, form):
    expected, output = tmp_path / f"expected.{form}", tmp_path / f"output.{form}"
    part = output.with_name(output.name + ".part")
    arguments = [many, "--weights", tiny_pair[1], "--format", form]
    complete = start(*arguments, "--output", expected)
    complete.communicate(timeout=60)
    assert complete.returncode == 1

    for stop, status, num_rows in ((signal.SIGINT, 130, 40), (signal.SIGKILL, -signal.SIGKILL, 120)):
        process = start(*arguments, "--output", output, "--resume")
        wait_for_rows(part, num_rows, process)
        process.send_signal(stop)
        _, told = process.communicate(timeout=60)
        assert process.returncode == status
        assert "Traceback" not in told
        assert ("--resume" in told) == (stop is signal.SIGINT)
        assert not output.exists()
        part.write_bytes(part.read_bytes()[:-20])  # as if the last row had been written in half

    process = start(*arguments, "--output", output, "--resume")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "30 of 300 images" in told
    assert without_timings(output) == without_timings(expected)
    assert not part.exists()


def test_what_has_a_row_is_not_judged_again(tiny_pair, folder, tmp_path, monkeypatch):
    output = tmp_path / "out.jsonl"
    arguments = ["predict", str(folder), "--weights", str(tiny_pair[1]), "--output", str(output)]
    assert main(arguments) == 0
    before = output.read_bytes()
    (folder / "z.png").write_bytes(encode(draw_scan(64, seed=3)))
    judged = []
    read = classification._read

    def read_and_tell(path):
        judged.append(path.name)
        return read(path)

    monkeypatch.setattr(classification, "_read", read_and_tell)
    assert main([*arguments, "--resume"]) == 0
    assert judged == ["z.png"]
    assert output.read_bytes().startswith(before)
    assert len(output.read_bytes().splitlines()) == 3


def test_rows_of_other_weights_are_not_continued(tiny_pair, calibrated_pair, folder, tmp_path, caplog):
    output = tmp_path / "out.jsonl"
    arguments = ["predict", str(folder), "--output", str(output)]
    assert main([*arguments, "--weights", str(tiny_pair[1])]) == 0
    before = output.read_bytes()
    assert main([*arguments, "--weights", str(calibrated_pair[1]), "--resume"]) == 1
    assert "other weights" in caplog.text
    assert output.read_bytes() == before


def test_the_number_of_threads_changes_nothing(tiny_pair, many, tmp_path):
    outputs = [tmp_path / f"{threads}.jsonl" for threads in (1, 5)]
    for threads, output in zip((1, 5), outputs, strict=True):
        options = ["--weights", str(tiny_pair[1]), "--output", str(output), "--threads", str(threads)]
        assert main(["predict", str(many), *options]) == 1
    assert without_timings(outputs[0]) == without_timings(outputs[1])


@pytest.mark.parametrize("index", [0, 1], ids=["torch", "onnxruntime"])
def test_overlays_mirror_the_folder(tiny_pair, folder, tmp_path, capsys, index):
    (folder / "broken.png").write_bytes(b"broken")
    overlays = tmp_path / "overlays"
    arguments = ["predict", str(folder), "--weights", str(tiny_pair[index])]
    assert main([*arguments, "--overlays", str(overlays)]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    drawn = sorted(path for path in overlays.rglob("*") if path.is_file())
    assert [str(path.relative_to(overlays)) for path in drawn] == ["b.png.png", "deep/a.jpg.png"]
    assert [row.get("overlay") for row in rows] == [str(drawn[0]), None, str(drawn[1])]
    assert all(Image.open(io.BytesIO(path.read_bytes())).size == (64, 64) for path in drawn)


def test_dicom_results_mirror_the_folder(tiny_pair, folder, tmp_path, capsys):
    (folder / "deep" / "IM1").write_bytes(make_study(draw_scan(64, seed=4)[:, :, 0]))
    target = tmp_path / "results"
    assert main(["predict", str(folder), "--weights", str(tiny_pair[1]), "--dicom", str(target)]) == 0
    rows = {Path(row["file"]).name: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert written == ["deep/IM1.sc.dcm", "deep/IM1.sr.dcm"]
    assert [rows["IM1"][name] for name in ("capture", "report")] == [str(target / name) for name in written]
    assert "note" not in rows["IM1"]
    assert all("DICOM" in rows[name]["note"] and rows[name]["prediction"] for name in ("b.png", "a.jpg"))


def test_dicom_results_need_their_packages(tiny_pair, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("model.dicom_results.results.find_spec", lambda _: None)
    assert main(["predict", str(folder), "--weights", str(tiny_pair[1]), "--dicom", str(tmp_path / "x")]) == 1
    assert "requirements/dicom.txt" in caplog.text


@pytest.mark.parametrize(("separator", "options"), [(b"\n", []), (b"\0", ["--null"])])
def test_names_may_come_from_standard_input(tiny_pair, folder, monkeypatch, capsys, separator, options):
    names = [folder / "deep" / "a.jpg", folder / "b.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(separator.join(map(os.fsencode, names)))))
    assert main(["predict", "-", *options, "--weights", str(tiny_pair[1])]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == list(map(str, names))


def test_a_terminal_shows_how_far_it_is(tiny_pair, folder):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "model", "predict", str(folder), "--weights", str(tiny_pair[1])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "predicting: 100%" in shown
    assert "2/2" in shown
    assert len(done.stdout.splitlines()) == 2


def test_a_file_too_large_for_an_image_is_not_read(tiny_pair, folder, monkeypatch, capsys):
    monkeypatch.setattr(classification, "MAX_FILE_BYTES", (folder / "b.png").stat().st_size - 1)
    assert main(["predict", str(folder), "--weights", str(tiny_pair[1])]) == 1
    errors = [json.loads(line).get("error") for line in capsys.readouterr().out.splitlines()]
    assert "at most" in errors[0]
    assert errors[1] is None


def test_continuing_needs_a_file(tiny_pair, folder, caplog):
    assert main(["predict", str(folder), "--weights", str(tiny_pair[1]), "--resume"]) == 1
    assert "--output" in caplog.text
