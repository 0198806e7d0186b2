from training.evaluation.summary import format_evaluation
from training.pages.columns import SEEN, TITLES


def test_the_text_holds_every_split_metric_and_class_side_by_side(evaluation):
    text = format_evaluation(evaluation)
    header = text.splitlines()[1]
    assert all(TITLES[split.name] in header for split in evaluation.splits)
    (row,) = (line for line in text.splitlines() if line.strip().startswith("missed_tumor_rate"))
    assert row.count("[") == 3
    for word in ("balanced_accuracy", "tumor_accuracy", "ece", "glioma", "notumor", "pituitary", "18, 9"):
        assert word in text


def test_a_flattered_column_is_called_so(evaluation):
    assert SEEN["grouped_test"] in format_evaluation(evaluation)
