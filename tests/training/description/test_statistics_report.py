import json

import pytest

from training.description.statistics import measure_statistics
from training.description.statistics_report import REPORT, SUMMARY, draw_samples, write_statistics
from training.errors import DataError


def test_the_files_hold_numbers_plots_and_samples(grouped_folder, tmp_path):
    statistics = measure_statistics(grouped_folder)
    write_statistics(statistics, tmp_path / "new")
    page = (tmp_path / "new" / REPORT).read_text(encoding="utf-8")
    described = json.loads((tmp_path / "new" / SUMMARY).read_text(encoding="utf-8"))
    assert [split["name"] for split in described["splits"]] == ["Training", "Testing"]
    assert page.count("<svg") == 3
    assert page.count("data:image/jpeg") == sum(len(row.pictures) for row in draw_samples(statistics)) == 36
    assert str(grouped_folder) not in page + json.dumps(described)


def test_a_folder_that_cannot_be_written_to_is_an_error(grouped_folder, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot write"):
        write_statistics(measure_statistics(grouped_folder), tmp_path / "file")
