import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from model.command_line import main
from model.commands import classification
from tests.samples.dicoms import make_study
from tests.samples.phantoms import CLASSES, draw_scan, encode

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "IM1").write_bytes(make_study(draw_scan(64)[:, :, 0]))
    (tmp_path / "in" / "a.png").write_bytes(encode(draw_scan(64)))
    (tmp_path / "in" / "broken.png").write_bytes(b"broken")
    return tmp_path / "in", tmp_path / "out"


def watch(folders, pair):
    return main(["watch", *map(str, folders), "--weights", str(pair[1]), "--once", "--interval", "0.05"])


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_file_has_an_answer_and_its_results(tiny_pair, folders):
    source, target = folders
    before = {path: path.stat() for path in source.rglob("*")}
    assert watch(folders, tiny_pair) == 1  # one is broken
    assert list_files(target) == [
        *("done/a.png.json", "done/a.png.png"),
        *("done/deep/IM1.json", "done/deep/IM1.png", "done/deep/IM1.sc.dcm", "done/deep/IM1.sr.dcm"),
        "failed/broken.png.json",
    ]
    answer = json.loads((target / "done/deep/IM1.json").read_bytes())
    assert answer["file"] == str(source / "deep/IM1")
    assert answer["rows"][0]["prediction"] in CLASSES
    study = pydicom.dcmread(source / "deep/IM1").StudyInstanceUID
    assert pydicom.dcmread(target / "done/deep/IM1.sr.dcm").StudyInstanceUID == study
    assert json.loads((target / "failed/broken.png.json").read_bytes())["rows"][0]["error"]
    assert {path: path.stat().st_mtime_ns for path in before} == {path: it.st_mtime_ns for path, it in before.items()}


def test_what_has_an_answer_is_not_judged_again_unless_it_changed(tiny_pair, folders, monkeypatch):
    source, target = folders
    watch(folders, tiny_pair)
    judged = []
    read = classification._read

    def read_and_tell(path):
        judged.append(path.name)
        return read(path)

    monkeypatch.setattr(classification, "_read", read_and_tell)
    assert watch(folders, tiny_pair) == 0
    assert judged == []
    (source / "broken.png").write_bytes(encode(draw_scan(64, seed=2)))
    (source / "new.png").write_bytes(encode(draw_scan(64, seed=3)))
    (target / "done/a.png.json").write_bytes(b"{")  # as no run of ours leaves it
    assert watch(folders, tiny_pair) == 0
    assert sorted(judged) == ["a.png", "broken.png", "new.png"]
    assert not list((target / "failed").iterdir())
    assert (target / "done/broken.png.json").exists()


def test_a_file_that_still_grows_is_left_alone(tiny_pair, folders, monkeypatch):
    source, target = folders

    def grow(_seconds):
        with (source / "a.png").open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr("model.commands.watch.time.sleep", grow)
    watch(folders, tiny_pair)
    assert "done/a.png.json" not in list_files(target)
    assert "done/deep/IM1.json" in list_files(target)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_watch_that_is_stopped_goes_on_where_it_was(tiny_pair, tmp_path, stop):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    scan = encode(draw_scan(300))
    for index in range(40):
        (source / f"{index:02}.png").write_bytes(scan)
    command = [sys.executable, "-m", "model", "watch", source, target, "--weights", tiny_pair[1], "--interval", "0.05"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=_heed_interrupts)
    wait_for_answers(target, 5)
    process.send_signal(stop)
    process.communicate(timeout=30)
    assert process.returncode == (0 if stop is signal.SIGINT else -stop)
    (source / "40.png").write_bytes(scan)
    assert watch((source, target), tiny_pair) == 0
    answers = [json.loads(path.read_bytes()) for path in sorted((target / "done").glob("*.json"))]
    assert [Path(answer["file"]).name for answer in answers] == [f"{index:02}.png" for index in range(41)]
    # A file that was begun and never finished may lie about; what has its final name is whole.
    assert not [path for path in target.rglob("*.json") if not path.read_bytes().endswith(b"}\n")]


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_answers(target, number):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list(target.rglob("*.json"))) >= number:
            return
        time.sleep(0.02)
    pytest.fail("the watch gave no answers")


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
