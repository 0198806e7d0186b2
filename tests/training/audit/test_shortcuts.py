import numpy as np
import pytest

from training.audit.shortcuts import border_mean, guess_accuracy, measure_shortcuts
from training.data.file_facts import FileFacts


def _facts(mode="L", size=64, grey=100, border=0):
    thumbnail = np.full((32, 32), border, np.uint8)
    thumbnail[1:-1, 1:-1] = grey
    return FileFacts("x", thumbnail=thumbnail, format="PNG", mode=mode, width=size, height=size)


def _measure(facts, labels):
    shortcuts = measure_shortcuts(facts, labels, [f"g{index}" for index in range(len(facts))])
    return shortcuts, {each.name: each for each in shortcuts.found}


def test_a_planted_shortcut_gives_the_class_away_and_the_others_do_not():
    labels = ["yes", "no"] * 50
    generator = np.random.default_rng(0)
    facts = [
        _facts("RGB" if label == "yes" else "L", grey=int(generator.integers(80, 120)), border=9 * (label == "no"))
        for label in labels
    ]
    shortcuts, found = _measure(facts, labels)
    assert shortcuts.majority == 0.5
    assert found["colour mode"].accuracy == found["border grey level"].accuracy == 1
    assert found["mean grey level"].accuracy < 1
    assert found["size"].accuracy <= 0.5
    assert found["colour mode"].by_class == {"no": {"L": 1, "RGB": 0}, "yes": {"L": 0, "RGB": 1}}
    assert found["border grey level"].by_class["no"] == {"5 %": 9, "50 %": 9, "95 %": 9}
    assert [each.accuracy for each in shortcuts.found] == sorted((e.accuracy for e in shortcuts.found), reverse=True)


def test_values_that_occur_once_give_nothing_away():
    labels = ["yes", "no", "no"] * 20
    _, found = _measure([_facts(size=64 + index) for index in range(60)], labels)
    assert found["size"].accuracy == pytest.approx(2 / 3)


def test_copies_are_never_both_learnt_and_guessed():
    values = np.repeat(np.arange(30), 2)  # each value belongs to one group of two copies
    truth = values % 3
    assert guess_accuracy(values, truth, values // 2 % 5) < 0.5
    assert guess_accuracy(values, truth, np.tile([0, 1], 30)) == 1


def test_the_border_is_the_outermost_ring():
    assert border_mean(_facts(grey=200, border=7)) == 7
