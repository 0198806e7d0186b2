import json

from training.description.statistics import measure_statistics
from training.description.statistics_report import REPORT, SUMMARY, draw_samples, write_statistics


def test_the_files_hold_numbers_plots_and_samples(grouped_folder, tmp_path):
    statistics = measure_statistics(grouped_folder)
    write_statistics(statistics, tmp_path / "new")
    page = (tmp_path / "new" / REPORT).read_text(encoding="utf-8")
    described = json.loads((tmp_path / "new" / SUMMARY).read_text(encoding="utf-8"))
    assert [split["name"] for split in described["splits"]] == ["Training", "Testing"]
    assert page.count("<svg") == 3
    assert page.count("data:image/jpeg") == sum(len(row.pictures) for row in draw_samples(statistics)) == 36
    assert str(grouped_folder) not in page + json.dumps(described)
