import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.training.conftest import AWKWARD_NAME
from training.evaluation.evaluation import evaluate
from training.evaluation.mistakes import Mistake
from training.evaluation.report import draw_explained, format_wilson, render_report
from training.metrics.intervals import WilsonInterval
from training.pages.tables import format_interval

VOID = {"meta", "img", "br", "line", "rect", "polyline"}


class _Checker(HTMLParser):
    """Collects resources, and checks that elements close in the order they opened."""

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag


@pytest.fixture(scope="module")
def page(evaluation):
    split = evaluation.splits[0]
    awkward = next(scan for scan in split.classified.scans if scan.path.name == AWKWARD_NAME)
    changed = replace(split, confident_mistakes=(Mistake(awkward, 1, 0.97), *split.confident_mistakes))
    return render_report(replace(evaluation, splits=(changed, *evaluation.splits[1:])))


def test_it_is_well_formed_and_needs_nothing_else(page):
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in checker.sources)
    assert "http" not in re.sub(r'src="[^"]*"', "", page)
    assert "<script" not in page
    assert len(page) < 5_000_000


def test_file_names_are_escaped(page):
    assert "&lt;b&gt;a&amp;b.png" in page
    assert AWKWARD_NAME not in page


def test_it_begins_with_the_tumours_that_were_called_healthy(page, evaluation):
    wilson = evaluation.splits[2].wilson["missed_tumor_rate"]
    headline = page[: page.index("What each column is worth")]
    assert "tumours called healthy" in headline
    assert f"{wilson.count} of {wilson.total}" in headline


def test_it_holds_what_the_evaluation_found(page, evaluation):
    for word in ("Flattered", "Confusion matrix", "Reliability", "ROC", "Most confused", "5 % of all scans"):
        assert word in page
    for split in evaluation.splits:
        assert format_interval(split.metrics.__pydantic_extra__["macro_roc_auc"]) in page
    assert page.count("<svg") == 6


def test_reviews_have_a_table_of_their_own(evaluation, calibrated_pair):
    options = replace(evaluation.options, checkpoint=calibrated_pair[1])
    assert "What goes to a person" in render_report(evaluate(options))


def test_a_proportion_is_written_as_counts():
    assert format_wilson(WilsonInterval(1, 4, 0.05, 0.7)) == "1 of 4; Wilson 0.050 to 0.700"
    assert format_wilson(None) == ""


def test_bars_stand_on_the_axis_and_are_as_high_as_the_accuracy(page, evaluation):
    bars = re.findall(r'y="([0-9.]+)" width="[0-9.]+" height="([0-9.]+)" fill="#9cc3e6"', page)
    accuracies = [found.accuracy for split in evaluation.splits for found in split.bins]
    assert [float(height) for _, height in bars] == pytest.approx([240 * accuracy for accuracy in accuracies], abs=0.06)
    assert all(float(y) + float(height) == pytest.approx(240, abs=0.11) for y, height in bars)


def test_a_scan_stands_beside_its_heat_map(evaluation):
    path = evaluation.splits[0].classified.scans[0].path
    picture = Image.open(io.BytesIO(base64.b64decode(draw_explained(evaluation.classifier, path).split(",")[1])))
    assert picture.size == (320, 160)
    scan = Image.open(path).convert("RGB").resize((160, 160))
    assert np.abs(np.asarray(picture.convert("RGB"))[:, :160].astype(int) - np.asarray(scan)).mean() < 8


@pytest.fixture(scope="module")
def shifted(evaluation, calibrated_pair):
    return evaluate(replace(evaluation.options, checkpoint=calibrated_pair[1], shift=True, shift_scans=3))


def test_shifts_have_curves_and_a_table(evaluation, shifted):
    assert shifted.shift is not None
    assert (shifted.shift.split, shifted.shift.images) == ("grouped_test", 3)
    page = render_report(shifted)
    section = page[page.index("Under simulated shift") :]
    assert "3 scans of the grouped test" in section
    assert section.count("<svg") >= 1
    assert section.count(" *<small>") == sum(score.shortcut for score in shifted.shift.scores) > 0
    assert "simulated shift" not in render_report(evaluation)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1100, 1400])
def test_nothing_is_cut_off_in_a_window_of_usual_width(shifted, tmp_path, width):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    (tmp_path / "page.html").write_text(render_report(shifted), encoding="utf-8")
    with sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((tmp_path / "page.html").as_uri())
        wider = "[...document.querySelectorAll('*')].filter(each => each.scrollWidth > document.body.clientWidth)"
        assert page.evaluate(f"{wider}.map(each => each.tagName)") in ([], ["HTML"])
        assert page.evaluate("document.documentElement.scrollWidth") == width
