import pytest

from training.errors import DataError
from training.pages.templates import write_files


def test_files_are_written_into_a_new_folder_and_nowhere_else(tmp_path):
    write_files(tmp_path / "new" / "folder", {"a.txt": "\udcff ü", "b.txt": "b"})
    assert (tmp_path / "new" / "folder" / "a.txt").read_text(encoding="utf-8") == "\\udcff ü"
    with pytest.raises(DataError, match=r"cannot write to .*a\.txt: "):
        write_files(tmp_path / "new" / "folder" / "a.txt", {"c": ""})
