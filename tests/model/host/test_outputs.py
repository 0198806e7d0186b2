import os
from pathlib import Path

import pytest

from model.host.outputs import check_file, check_folder


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "else")
    return tmp_path


@pytest.mark.parametrize("name", ["file", "file/below", "file/further/below", "broken/x", "n" * 300])
def test_a_folder_that_cannot_be_written_is_named(places, name):
    with pytest.raises(OSError, match=r"Errno") as caught:
        check_folder(places / name)
    assert caught.value.filename == str(places / name)
    assert caught.value.strerror


@pytest.mark.parametrize("name", ["folder", "file/below", "folder/" + "n" * 300, "broken/x"])
def test_a_file_that_cannot_be_written_is_named(places, name):
    with pytest.raises(OSError, match=r"Errno") as caught:
        check_file(places / name)
    assert str(places) in caught.value.filename


def test_a_folder_that_only_others_may_write_to_is_refused(places):
    """The kernel lets nobody create files there, root neither."""
    with pytest.raises(OSError, match=r"Errno"):
        check_folder(Path("/proc/self/fdinfo/new"))


def test_what_can_be_written_is_left_as_it_was(places):
    before = sorted(places.rglob("*"))
    for name in ("folder", "folder/new", "new", "new/and/newer"):
        check_folder(places / name)
    for name in ("file", "folder/new.json", "new.json", "new/newer.json"):
        check_file(places / name)
    check_file(Path(os.devnull))
    assert sorted(places.rglob("*")) == before
    assert (places / "file").read_bytes() == b"kept"
