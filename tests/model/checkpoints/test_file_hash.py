import hashlib

import pytest

from model.checkpoints.file_hash import hash_file, verify_file
from model.errors import CheckpointError

ABC, ABD = (hashlib.sha256(content).hexdigest() for content in (b"abc", b"abd"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights 1.onnx"
    path.write_bytes(b"abc")
    return path


def write_sums(file, sha256, name):
    lines = f"{'0' * 64}  other\n{sha256}  {name}\n"
    (file.parent / "SHA256SUMS").write_text(lines, encoding="utf-8")


def test_the_hash_is_that_of_the_standard(file):
    # FIPS 180-4, the example "abc"
    assert hash_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_expected_or_unknown_file_passes(file):
    verify_file(file)
    write_sums(file, ABD, f"{file.name}.old")
    verify_file(file)
    write_sums(file, ABC, file.name)
    verify_file(file, ABC)


@pytest.mark.parametrize(
    ("listed", "given", "message"),
    [(ABD, None, "not the one in SHA256SUMS"), (ABC, ABD, "not the one given"), (None, ABD, "not the one given")],
)
def test_another_file_is_refused(file, listed, given, message):
    if listed:
        write_sums(file, listed, file.name)
    with pytest.raises(CheckpointError, match=message):
        verify_file(file, given)


def test_a_missing_file_with_a_known_hash_is_refused(file):
    write_sums(file, ABC, file.name)
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        verify_file(file)


def test_a_list_that_is_not_text_is_refused(file):
    (file.parent / "SHA256SUMS").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="cannot be read"):
        verify_file(file)
