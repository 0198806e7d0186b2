from dataclasses import replace
from xml.etree import ElementTree

import pytest

from model.card import Interval
from training.robustness.shift import ShiftMeasurement, ShiftScore
from training.robustness.shift_report import draw_shift, format_shift


def score(shift, severity, *, shortcut=False, missed=3):
    part = Interval(value=0.8125, low=0.7, high=0.9)
    review = {"none": 0.6, "consider": 0.3, "required": 0.1}
    flagged = part if missed else None
    return ShiftScore(shift, severity, "units", shortcut, part, part, 0.05, review, None, part, missed, flagged)


@pytest.fixture
def measurement():
    scores = (score("mirrored", 1, shortcut=True), score("blur", 1), score("blur", 2, missed=0), score("gamma", -1))
    return ShiftMeasurement("grouped_test", 100, 40, score("none", 0.0), scores)


def test_the_table_has_a_row_a_condition_and_shortcuts_come_last(measurement):
    rows = format_shift(measurement).splitlines()
    assert rows[0].startswith("grouped test under simulated shift")
    assert rows[0].endswith("100 images of 40 groups")
    assert [row.split()[0] for row in rows[2:]] == ["none", "blur", "blur", "gamma", "mirrored"]
    assert "81.2 [70.0, 90.0]" in rows[3]
    assert "81.2 of 3" in rows[3]
    assert "- of 0" in rows[4]


def test_the_picture_is_one_svg_element_with_a_panel_a_shift(measurement):
    drawn = draw_shift(measurement)
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    text = " ".join(root.itertext())
    for word in ("blur", "gamma", "mirrored (must not matter)", "tumours missed", "accuracy"):
        assert word in text
    assert "http" not in drawn.replace("http://www.w3.org", "").replace("http://creativecommons.org", "").replace(
        "http://purl.org", ""
    ).replace("https://matplotlib.org", "")


def test_without_reviews_the_table_has_hyphens(measurement):
    unreviewed = replace(measurement.reference, review=None, missed_and_flagged=None)
    row = format_shift(replace(measurement, reference=unreviewed)).splitlines()[2]
    assert row.split()[-4:] == ["3", "-", "-", "-"]
    assert draw_shift(replace(measurement, reference=unreviewed))
