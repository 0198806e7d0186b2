from model.card import Interval
from training.pages.tables import align, format_interval


def test_columns_are_aligned_and_nothing_trails():
    assert align([["", "a", "long"], ["name", "10", ""]], 2).splitlines() == ["         a  long", "  name  10"]


def test_numbers_are_written_with_their_interval():
    interval = Interval(value=0.5, low=0.25, high=0.75)
    assert format_interval(interval) == "0.500 [0.250, 0.750]"
    assert format_interval(interval, 1, 100) == "50.0 [25.0, 75.0]"
    assert format_interval(None) == "-"
