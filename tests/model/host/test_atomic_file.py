import contextlib
import os
import subprocess
import sys
from unittest.mock import Mock

from model.host.atomic_file import replace_file, write_file


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / ("x" * 255)  # the longest name there can be
    for data in (b"older", b"new"):
        write_file(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path):
    write_file(tmp_path / "a", b"old")
    with contextlib.suppress(KeyboardInterrupt), replace_file(tmp_path / "a") as draft:
        draft.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_process_that_is_killed_leaves_the_old_file(tmp_path):
    write_file(tmp_path / "a", b"old")
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom model.host.atomic_file import replace_file\n"
        "with replace_file(Path(sys.argv[1])) as draft:\n    draft.write_bytes(b'half')\n    os._exit(1)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "a"], check=False).returncode == 1
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_data_are_on_the_disk_before_they_have_the_name(tmp_path, monkeypatch):
    recorder = Mock()
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, getattr(recorder, name))
    write_file(tmp_path / "a", b"new")
    assert [name for name, _, _ in recorder.method_calls] == ["fsync", "replace"]


def test_the_umask_holds(tmp_path):
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            write_file(tmp_path / "a", b"patient")
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
