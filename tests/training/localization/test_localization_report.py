import json

import pytest

from model.card import Interval
from training.localization.box_examples import PLACES, Example
from training.localization.box_findings import Finding
from training.localization.box_scores import BoxScore
from training.localization.localization import Localization, MapScores
from training.localization.localization_report import format_localization, write_localization
from training.localization.weight_randomization import RandomizedStep


@pytest.fixture
def result():
    interval = Interval(value=0.8125, low=0.7, high=0.9)
    score = BoxScore(interval, interval, None, None)
    rows = (
        MapScores("image_center", None, score, {"glioma": score}),
        MapScores("grad_cam", "bn2", score, {"glioma": score}),
    )
    steps = (RandomizedStep("classifier", {"bn2": 0.25}),)
    examples = tuple(
        Example(place, f"glioma/<{place}>.png", "glioma", False, Finding(True, 0.5), f"data:{place}")
        for place in PLACES
    )
    counts = {"glioma": 9, "notumor": 0}, {"glioma": 8, "notumor": 0}
    return Localization("0" * 64, "test", 3, *counts, rows, "bn2", steps, examples)


def test_the_table_holds_every_row_and_number(result):
    text = format_localization(result)
    for word in ("part test: 9 images of 3 groups", "glioma 8/9", "image_center", "grad_cam bn2", "0.812", "0.25"):
        assert word in text
    assert "selected layer: bn2" in text


def test_all_files_are_written_and_only_the_page_holds_pictures(result, tmp_path):
    path = write_localization(result, tmp_path / "out")
    stored = (tmp_path / "out" / "localization.json").read_text(encoding="utf-8")
    assert json.loads(stored)["rows"][1]["layer"] == "bn2"
    assert [example["place"] for example in json.loads(stored)["examples"]] == list(PLACES)
    assert "data:" not in stored
    assert (tmp_path / "out" / "localization.txt").read_text(encoding="utf-8") == format_localization(result) + "\n"
    page = path.read_text(encoding="utf-8")
    for place in PLACES:
        assert f'src="data:{place}"' in page
        assert f"glioma/&lt;{place}&gt;.png" in page
    assert "0.812 [0.700, 0.900]" in page
    assert "http" not in page
