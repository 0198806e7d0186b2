import numpy as np
import pytest

from model.card import Interval
from training.data.boxes import Box
from training.data.scans import Scan
from training.localization.box_findings import Finding
from training.localization.box_scores import average_findings
from training.localization.boxed_scans import BoxedScan

CLASSES = ("glioma", "notumor", "pituitary")


@pytest.fixture
def measured(tmp_path):
    box = Box(0, 0, 1, 1)
    return [BoxedScan(Scan(tmp_path / f"{i}", 0 if i < 8 else 2, f"g{i // 2}"), box, None) for i in range(12)]


def test_scores_are_means_by_class_and_their_mean(measured):
    findings = [Finding(index % 2 == 0, index / 12) for index in range(8)] + [Finding(True, 0.5)] * 4
    mean, classes = average_findings(findings, measured, np.ones(12, bool), CLASSES, seed=0)
    assert set(classes) == {"glioma", "pituitary"}
    assert classes["glioma"].pointing_game.value == 0.5
    assert classes["pituitary"].pointing_game.value == 1
    assert mean.pointing_game.value == 0.75
    assert mean.energy_inside.value == pytest.approx((np.arange(8).mean() / 12 + 0.5) / 2)
    assert mean.pointing_game_correct == mean.pointing_game


def test_scans_that_were_classified_wrongly_do_not_count_among_the_correct(measured):
    findings = [Finding(index < 4, 0.5) for index in range(12)]
    correct = np.arange(12) < 4
    mean, classes = average_findings(findings, measured, correct, CLASSES, seed=0)
    assert classes["glioma"].pointing_game.value == 0.5
    assert classes["glioma"].pointing_game_correct == Interval(value=1, low=1, high=1)
    assert classes["pituitary"].pointing_game_correct is None
    assert mean.pointing_game_correct is None
