import csv
import io
import os
import pty
import re
import signal
import sys
import termios
import time
from pathlib import Path

import pytest
from PIL import Image

from model import scan_files
from tests.samples import containers
from tests.samples.dicoms import make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "b.png").write_bytes(encode(draw_scan(64, seed=1)))
    (tmp_path / "in" / "deep" / "a.jpg").write_bytes(encode(draw_scan(64, seed=2), "JPEG"))
    (tmp_path / "in" / ".hidden").write_bytes(b"")
    return tmp_path / "in"


def test_predict_writes_a_row_for_each_image(predict, folder):
    rows = predict(folder)
    assert [row["file"] for row in rows] == [str(folder / "b.png"), str(folder / "deep" / "a.jpg")]
    assert all(row["prediction"] in CLASSES for row in rows)


def test_a_broken_file_is_a_row_and_a_status(predict, folder, tmp_path, caplog):
    (folder / "c.png").write_bytes(b"broken")
    output = tmp_path / "out.csv"
    predict(folder, folder / "missing.png", "--format", "csv", "--output", output, status=1)
    rows = list(csv.DictReader(io.StringIO(output.read_text(encoding="utf-8"))))
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    assert sum(float(rows[0][f"p_{name}"]) for name in CLASSES) == pytest.approx(1)
    assert rows[0]["prediction_set"] == rows[0]["review"] == ""  # these weights have no calibration
    assert "2 of 4 images" in caplog.text


def test_odd_tags_are_not_remarked_upon(predict, tmp_path, recwarn):
    tags = {**containers.grey_tags(64, 64), containers.ORIENTATION: (containers.SHORT, [1, 1, 1])}
    path = tmp_path / "odd.tif"
    path.write_bytes(containers.write_tiff(tags, draw_scan(64)[:, :, 0].tobytes()))
    predict(path)
    assert not recwarn.list


def test_a_reader_that_stops_early_causes_no_error(tiny_pair, folder, start):
    for index in range(30):
        (folder / f"copy-{index}.png").write_bytes(encode(draw_scan(64, seed=index)))
    with start("predict", folder, "--weights", tiny_pair[1], stdout=-1) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.fixture
def many(tmp_path):
    """A folder with enough images that a run can be stopped in the middle; every tenth is broken."""
    folder = tmp_path / "many"
    folder.mkdir()
    images = [encode(draw_scan(400, seed=seed)) for seed in range(10)]
    for index in range(300):
        (folder / f"{index:03}.png").write_bytes(images[index % 10] if index % 10 else b"broken")
    return folder


def wait_for_rows(part, num_rows, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if part.exists() and part.read_bytes().count(b"\n") >= num_rows:
            return
        time.sleep(0.002)
    pytest.fail(f"the run ended before it had {num_rows} rows")


def without_timings(path):
    if path.suffix == ".jsonl":
        return re.sub(rb'"timing_ms": {[^}]*}', b"", path.read_bytes())
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    timings = [index for index, name in enumerate(rows[0]) if name.endswith("_ms")]
    return [[value for index, value in enumerate(row) if index not in timings] for row in rows]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_run_that_was_stopped_twice_has_the_same_output(predict, start, tiny_pair, many, tmp_path, form):
    expected, output = tmp_path / f"expected.{form}", tmp_path / f"output.{form}"
    part = output.with_name(output.name + ".part")
    arguments = [many, "--format", form, "--threads", 2]
    predict(*arguments, "--output", expected, status=1)

    for stop, status, num_rows in ((signal.SIGINT, 130, 40), (signal.SIGKILL, -signal.SIGKILL, 120)):
        process = start("predict", *arguments, "--weights", tiny_pair[1], "--output", output, "--resume")
        wait_for_rows(part, num_rows, process)
        process.send_signal(stop)
        _, log = process.communicate(timeout=60)
        assert process.returncode == status
        assert "Traceback" not in log
        assert ("--resume" in log) == (stop is signal.SIGINT)
        assert not output.exists()
        part.write_bytes(part.read_bytes()[:-20])  # as if only half of the last row had been written

    predict(*arguments, "--output", output, "--resume", status=1)
    assert without_timings(output) == without_timings(expected)
    assert not part.exists()


def test_files_that_have_a_row_are_not_classified_again(predict, folder, tmp_path, files_read):
    output = tmp_path / "out.jsonl"
    predict(folder, "--output", output)
    before = output.read_bytes()
    (folder / "z.png").write_bytes(encode(draw_scan(64, seed=3)))
    files_read.clear()
    predict(folder, "--output", output, "--resume")
    assert files_read == ["z.png"]
    assert output.read_bytes().startswith(before)
    assert len(output.read_bytes().splitlines()) == 3


def test_rows_of_other_weights_are_not_resumed(predict, calibrated_pair, folder, tmp_path, caplog):
    output = tmp_path / "out.jsonl"
    predict(folder, "--output", output)
    before = output.read_bytes()
    predict(folder, "--output", output, "--resume", status=1, weights=calibrated_pair[1])
    assert "other weights" in caplog.text
    assert output.read_bytes() == before


def test_the_number_of_threads_changes_nothing(predict, many, tmp_path):
    outputs = [tmp_path / f"{threads}.jsonl" for threads in (1, 5)]
    for threads, output in zip((1, 5), outputs, strict=True):
        predict(many, "--output", output, "--threads", threads, status=1)
    assert without_timings(outputs[0]) == without_timings(outputs[1])


def test_overlays_mirror_the_folder(predict, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"broken")
    overlays = tmp_path / "overlays"
    rows = predict(folder, "--overlays", overlays, status=1)
    drawn = sorted(path for path in overlays.rglob("*") if path.is_file())
    assert [str(path.relative_to(overlays)) for path in drawn] == ["b.png.png", "deep/a.jpg.png"]
    assert [row.get("overlay") for row in rows] == [str(drawn[0]), None, str(drawn[1])]
    assert all(Image.open(io.BytesIO(path.read_bytes())).size == (64, 64) for path in drawn)


def test_dicom_results_mirror_the_folder(predict, folder, tmp_path):
    (folder / "deep" / "IM1").write_bytes(make_study(draw_scan(64, seed=4)[:, :, 0]))
    target = tmp_path / "results"
    rows = {Path(row["file"]).name: row for row in predict(folder, "--dicom", target)}
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert written == ["deep/IM1.sc.dcm", "deep/IM1.sr.dcm"]
    assert [rows["IM1"][name] for name in ("capture", "report")] == [str(target / name) for name in written]
    assert "note" not in rows["IM1"]
    assert all("DICOM" in rows[name]["note"] and rows[name]["prediction"] for name in ("b.png", "a.jpg"))


def test_dicom_results_need_their_packages(predict, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("model.dicom_results.results.find_spec", lambda _: None)
    predict(folder, "--dicom", tmp_path / "x", status=1)
    assert "requirements/dicom.txt" in caplog.text


@pytest.mark.parametrize(("separator", "options"), [(b"\n", []), (b"\0", ["--null"])])
def test_names_may_come_from_standard_input(predict, folder, monkeypatch, separator, options):
    names = [folder / "deep" / "a.jpg", folder / "b.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(separator.join(map(os.fsencode, names)))))
    assert [row["file"] for row in predict("-", *options)] == list(map(str, names))


def test_a_terminal_shows_the_progress(tiny_pair, folder, start):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with start("predict", folder, "--weights", tiny_pair[1], stdout=-1, stderr=theirs) as process:
        assert len(process.stdout.read().splitlines()) == 2
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "predicting: 100%" in shown
    assert "2/2" in shown


def test_a_file_too_large_for_an_image_is_not_read(predict, folder, monkeypatch):
    monkeypatch.setattr(scan_files, "MAX_FILE_BYTES", (folder / "b.png").stat().st_size - 1)
    errors = [row.get("error") for row in predict(folder, status=1)]
    assert "at most" in errors[0]
    assert errors[1] is None


def test_what_cannot_be_read_in_a_folder_is_a_row_and_a_status(predict, folder):
    (folder / "gone").symlink_to(folder / "nowhere.png")
    (folder / "deep" / "up").symlink_to(folder)
    errors = {Path(row["file"]).name: row.get("error") for row in predict(folder, status=1)}
    assert errors == {"b.png": None, "a.jpg": None, "gone": "The link leads to no file."}


@pytest.mark.parametrize(
    "failure", [ZeroDivisionError("secret"), MemoryError(), RuntimeError(), OSError(5, "I/O error")]
)
def test_whatever_a_file_raises_is_its_row(predict, folder, monkeypatch, failure):
    read = scan_files.read_file

    def fail(path):
        if path.name == "b.png":
            raise failure
        return read(path)

    monkeypatch.setattr(scan_files, "read_file", fail)
    bad, good = predict(folder, status=1)
    assert bad["error"] in (f"unexpected {type(failure).__name__}", "I/O error")
    assert good["prediction"] in CLASSES


def test_a_result_that_cannot_be_written_is_the_row_of_its_file(predict, folder, tmp_path):
    (tmp_path / "out" / "b.png.png").mkdir(parents=True)
    bad, good = predict(folder, "--overlays", tmp_path / "out", status=1)
    assert bad["error"] == "a result cannot be written: Is a directory"
    assert Path(good["overlay"]).stat().st_size


def test_names_as_long_as_can_be_have_results_too(predict, folder, tmp_path):
    names = [f"{'ä' * 120}{index}.png" for index in range(2)] + ["x" * 251 + ".png"]
    for name in names:
        (folder / name).write_bytes((folder / "b.png").read_bytes())
    rows = predict(folder, "--overlays", tmp_path / "out")
    assert len({row["overlay"] for row in rows}) == 5
    assert all(Path(row["overlay"]).exists() for row in rows)


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_standard_streams_cost_no_row(tiny_pair, folder, tmp_path, start, closed):
    def close():
        for number in closed:
            os.close(number)

    arguments = ["predict", folder, "--weights", tiny_pair[1]]
    with start(*arguments, "--output", tmp_path / "rows", stderr=None, preexec_fn=close) as process:
        assert process.wait(60) == 0
    assert len((tmp_path / "rows").read_bytes().splitlines()) == 2
    if 2 not in closed:
        with start(*arguments, preexec_fn=close) as process:
            assert process.wait(60) == 1
            assert process.stderr.read() == "error: standard output is closed; name a file with --output\n"
