import json
import re

import pytest

from tests.samples.phantoms import CLASSES
from training.comparison.comparison_report import (
    REPORT,
    RESULT,
    draw_class_curves,
    draw_tumor_curves,
    format_table,
    update_document,
    write_comparison,
)
from training.errors import DataError


def test_the_files_name_every_system(comparison, tmp_path):
    write_comparison(comparison, tmp_path / "new")
    page = (tmp_path / "new" / REPORT).read_text(encoding="utf-8")
    assert json.loads((tmp_path / "new" / RESULT).read_text(encoding="utf-8"))["systems"].keys() == {
        "one",
        "other",
        "two",
    }
    for system in ("one", "other", "two"):
        assert f"<td>{system}</td>" in page
    assert page.count("<polyline") == 3 * (
        3 + 2 * 3
    )  # per split: any tumour for all systems, each class for those of three
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_system_has_one_color_in_all_plots(comparison, tmp_path):
    write_comparison(comparison, tmp_path)
    page = (tmp_path / REPORT).read_text(encoding="utf-8")
    colors = re.findall(r'<rect class="(c\d)".*?\n<text[^>]*>(\w+) ', page)
    assert len(colors) == page.count("<polyline")
    assert len(set(colors)) == 3


def test_the_table_marks_what_was_seen(comparison):
    table = format_table(comparison)
    assert "| other * |" in table
    assert "| one |" in table
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert sorted({line.count("|") for line in rows}) == [7, 8]  # costs, and metrics
    assert "&" not in table


def test_curves_of_all_systems_share_what_they_can(comparison):
    assert list(draw_tumor_curves(comparison, "official_test")) == ["one", "other", "two"]
    curves = draw_class_curves(comparison, "official_test")
    assert [(name, len(lines)) for name, lines in curves.items()] == [(name, 2) for name in CLASSES]


def test_a_document_gets_the_table_between_its_marks(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- compare: begin -->\nold\n<!-- compare: end -->\nafter\n", encoding="utf-8")
    update_document(path, "\nnew\n\n")
    assert path.read_text(encoding="utf-8") == "before\n<!-- compare: begin -->\nnew\n<!-- compare: end -->\nafter\n"


def test_a_document_without_marks_is_left_alone(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("nothing here", encoding="utf-8")
    with pytest.raises(DataError, match="marks"):
        update_document(path, "new")
    assert path.read_text(encoding="utf-8") == "nothing here"
    with pytest.raises(DataError, match="cannot write"):
        update_document(tmp_path / "missing.md", "new")
