from pathlib import Path

import numpy as np

from training.data.scans import Scan
from training.evaluation.mistakes import find_confused_pairs, find_mistakes
from training.metrics.classified import SplitOutputs


def _create_outputs(labels, probabilities):
    scans = tuple(Scan(Path(str(index)), label) for index, label in enumerate(labels))
    logits = np.log(probabilities).astype(np.float32)
    groups = ["g"] * len(scans)
    return SplitOutputs(
        "official_test", scans, np.array(labels), logits, logits, logits, np.array(probabilities), groups
    )


OUTPUTS = _create_outputs(
    [0, 0, 0, 1, 1],
    [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]],
)


def test_mistakes_are_listed_with_the_most_confident_first():
    mistakes = find_mistakes(OUTPUTS)
    assert [str(mistake.scan.path) for mistake in mistakes] == ["2", "1", "3"]
    assert [mistake.predicted for mistake in mistakes] == [1, 1, 0]
    assert mistakes[0].confidence == 0.9


def test_the_pair_with_the_most_mistakes_comes_first():
    first, second = find_confused_pairs(OUTPUTS, find_mistakes(OUTPUTS))
    assert (first.true, first.predicted, len(first.mistakes), first.num_true) == (0, 1, 2, 3)
    assert (second.true, second.predicted, len(second.mistakes), second.num_true) == (1, 0, 1, 2)


def test_without_mistakes_there_are_no_pairs():
    assert find_confused_pairs(OUTPUTS, ()) == ()
