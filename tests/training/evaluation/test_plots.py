import pytest

from training.evaluation.plots import SIDE, reliability_bars, roc_lines


def test_curves_go_from_bottom_left_to_top_right(evaluation):
    lines = roc_lines(evaluation.splits[0])
    assert [line.label.split()[0] for line in lines] == list(evaluation.classes)
    for line in lines:
        points = line.points.split()
        assert points[0] == f"0.0,{SIDE:.1f}"
        assert points[-1] == f"{SIDE:.1f},0.0"


def test_bars_stand_on_the_axis_and_are_as_high_as_the_accuracy(evaluation):
    split = evaluation.splits[0]
    bars = reliability_bars(split)
    assert len(bars) == len(split.bins)
    for bar, found in zip(bars, split.bins, strict=True):
        assert bar.y + bar.height == pytest.approx(SIDE, abs=0.11)
        assert bar.height == pytest.approx(found.accuracy * SIDE, abs=0.06)
        assert bar.mark == pytest.approx((1 - found.confidence) * SIDE, abs=0.06)
        assert str(found.count) in bar.title
