import hashlib

import pytest

from model.checkpoints.file_hash import hash_file, verify_file
from model.errors import CheckpointError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights 1.onnx"
    path.write_bytes(b"abc")
    return path


def _write_sums(file, content: bytes, name: str | None = None):
    line = f"{hashlib.sha256(content).hexdigest()}  {name or file.name}\n"
    (file.parent / "SHA256SUMS").write_text("0" * 64 + "  other\n" + line, encoding="utf-8")


def test_the_hash_is_that_of_the_standard(file):
    # FIPS 180-4, the example "abc"
    assert hash_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_of_which_nothing_is_known_passes(file):
    verify_file(file)


def test_the_expected_file_passes(file):
    _write_sums(file, b"abc")
    verify_file(file, hashlib.sha256(b"abc").hexdigest())


def test_another_file_than_the_one_written_down_is_refused(file):
    _write_sums(file, b"abd")
    with pytest.raises(CheckpointError, match="not the one in SHA256SUMS"):
        verify_file(file)


def test_another_file_than_the_one_given_is_refused(file):
    with pytest.raises(CheckpointError, match="not the one given"):
        verify_file(file, "0" * 64)


def test_what_is_said_of_another_file_does_not_count(file):
    _write_sums(file, b"abd", "weights 1.onnx.old")
    verify_file(file)


def test_a_missing_file_of_which_something_is_known_is_refused(file):
    _write_sums(file, b"abc")
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        verify_file(file)


def test_a_list_that_is_no_text_is_refused(file):
    (file.parent / "SHA256SUMS").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="cannot be read"):
        verify_file(file)
