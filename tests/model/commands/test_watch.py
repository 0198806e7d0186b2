import json
import os
import signal
import time
from pathlib import Path

import pydicom
import pytest

from model import scan_files
from model.command_line import main
from tests.samples.dicoms import make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "IM1").write_bytes(make_study(draw_scan(64)[:, :, 0]))
    (tmp_path / "in" / "a.png").write_bytes(encode(draw_scan(64)))
    (tmp_path / "in" / "broken.png").write_bytes(b"broken")
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def watch(tiny_pair, folders):
    """Runs `python -m model watch` once, and returns the exit status."""
    return lambda: main(["watch", *map(str, folders), "--weights", str(tiny_pair[1]), "--once", "--interval", "0.05"])


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_file_has_a_result_and_pictures(watch, folders):
    source, target = folders
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert watch() == 1  # one is broken
    assert list_files(target) == [
        *("done/a.png.json", "done/a.png.png"),
        *("done/deep/IM1.json", "done/deep/IM1.png", "done/deep/IM1.sc.dcm", "done/deep/IM1.sr.dcm"),
        "failed/broken.png.json",
    ]
    result = json.loads((target / "done/deep/IM1.json").read_bytes())
    assert result["file"] == str(source / "deep/IM1")
    assert result["rows"][0]["prediction"] in CLASSES
    study = pydicom.dcmread(source / "deep/IM1").StudyInstanceUID
    assert pydicom.dcmread(target / "done/deep/IM1.sr.dcm").StudyInstanceUID == study
    assert json.loads((target / "failed/broken.png.json").read_bytes())["rows"][0]["error"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_files_with_a_result_are_not_classified_again_unless_they_changed(watch, folders, files_read):
    source, target = folders
    watch()
    files_read.clear()
    assert watch() == 0
    assert files_read == []
    (source / "broken.png").write_bytes(encode(draw_scan(64, seed=2)))
    (source / "new.png").write_bytes(encode(draw_scan(64, seed=3)))
    (target / "done/a.png.json").write_bytes(b"{")  # as no run of ours leaves it
    assert watch() == 0
    assert sorted(files_read) == ["a.png", "broken.png", "new.png"]
    assert not list((target / "failed").iterdir())
    assert (target / "done/broken.png.json").exists()


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def test_a_file_that_still_grows_is_left_alone(watch, folders, monkeypatch):
    source, target = folders
    monkeypatch.setattr("model.commands.watch.time.sleep", lambda _seconds: append(source / "a.png"))
    watch()
    assert "done/a.png.json" not in list_files(target)
    assert "done/deep/IM1.json" in list_files(target)


def test_a_file_that_grows_while_it_is_classified_is_classified_again(watch, folders, monkeypatch, files_read):
    source, target = folders
    read = scan_files.read_file
    monkeypatch.setattr(scan_files, "read_file", lambda path: (read(path), append(path))[0])
    watch()
    monkeypatch.setattr(scan_files, "read_file", read)
    files_read.clear()
    watch()
    assert sorted(files_read) == ["IM1", "a.png", "broken.png"]
    result = json.loads((target / "done/a.png.json").read_bytes())
    assert result["size"] == (source / "a.png").stat().st_size


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_watch_that_is_stopped_continues_where_it_was(watch, folders, start, tiny_pair, stop):
    source, target = folders
    (source / "broken.png").unlink()
    scan = encode(draw_scan(300))
    for index in range(40):
        (source / f"{index:02}.png").write_bytes(scan)
    process = start("watch", source, target, "--weights", tiny_pair[1], "--interval", "0.05")
    wait_for_results(target, 5)
    process.send_signal(stop)
    process.communicate(timeout=30)
    assert process.returncode == (0 if stop is signal.SIGINT else -stop)
    (source / "40.png").write_bytes(scan)
    assert watch() == 0
    results = [json.loads(path.read_bytes()) for path in sorted((target / "done").glob("*.json"))]
    assert [Path(result["file"]).name for result in results] == [*(f"{index:02}.png" for index in range(41)), "a.png"]


def wait_for_results(target, number):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list(target.rglob("*.json"))) >= number:
            return
        time.sleep(0.02)
    pytest.fail("the watch wrote no results")


def test_folders_in_each_other_and_missing_ones_are_refused(tiny_pair, tmp_path, caplog):
    (tmp_path / "in").mkdir()
    for source, target in (("in", "in/out"), ("in", "."), ("missing", "out")):
        arguments = ["watch", str(tmp_path / source), str(tmp_path / target), "--once"]
        assert main([*arguments, "--weights", str(tiny_pair[1])]) == 1
    assert "choose two folders that are apart" in caplog.text
    assert "is not a folder" in caplog.text


@pytest.mark.parametrize("seconds", ["0", "x", "nan", "1e9"])
def test_an_interval_out_of_bounds_is_wrong_usage(folders, seconds):
    with pytest.raises(SystemExit):
        main(["watch", *map(str, folders), "--interval", seconds])


def put_in_place(path, data):
    """Move another file there."""
    path.with_name("draft").write_bytes(data)
    path.with_name("draft").rename(path)


@pytest.mark.parametrize("put", [Path.write_bytes, put_in_place])
def test_another_scan_of_the_same_size_and_time_is_classified(watch, folders, files_read, put):
    source, _ = folders
    before = (source / "a.png").stat()
    other = encode(draw_scan(64, seed=2))[: before.st_size].ljust(before.st_size, b"\0")
    watch()
    files_read.clear()
    put(source / "a.png", other)
    os.utime(source / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (source / "a.png").stat().st_size == before.st_size
    watch()
    assert files_read == ["a.png"]


def test_a_link_that_leads_nowhere_is_a_failure_until_it_leads_somewhere(watch, folders):
    source, target = folders
    (source / "broken.png").unlink()
    (source / "link.png").symlink_to(source.parent / "elsewhere.png")
    assert watch() == 1
    assert json.loads((target / "failed/link.png.json").read_bytes())["rows"][0]["error"]
    assert watch() == 0
    (source.parent / "elsewhere.png").write_bytes(encode(draw_scan(64)))
    assert watch() == 0
    assert "done/link.png.json" in list_files(target)
    assert "failed/link.png.json" not in list_files(target)


def test_a_link_to_the_results_is_not_followed(watch, folders, files_read):
    source, target = folders
    (source / "results").symlink_to(target)
    watch()
    files_read.clear()
    watch()
    assert files_read == []


def test_results_that_cannot_be_written_end_nothing(watch, folders, caplog):
    source, target = folders
    (source / "broken.png").unlink()
    (target / "done/a.png.json").mkdir(parents=True)
    (target / "done/a.png.json/x").touch()
    (source / ("x" * 251 + ".png")).write_bytes((source / "a.png").read_bytes())
    assert watch() == 1
    assert "a.png: the result cannot be written: Is a directory" in caplog.text
    assert len([name for name in list_files(target) if name.endswith(".json")]) == 2
