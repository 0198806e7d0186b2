import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from training import metrics
from training.metrics import confusion_matrix, expected_calibration_error, measure

CLASSES = ("glioma", "meningioma", "notumor")


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    logits = generator.normal(size=(300, 3)) + 2 * np.eye(3)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_perfect_predictions_are_perfect():
    labels = np.array([0, 1, 2] * 10)
    measured = measure(labels, np.eye(3)[labels], CLASSES)
    values = {name: interval.value for name, interval in measured.__pydantic_extra__.items()}
    assert values == pytest.approx(
        {
            "accuracy": 1,
            "balanced_accuracy": 1,
            "macro_f1": 1,
            "macro_roc_auc": 1,
            "nll": 0,
            "ece": 0,
            "missed_tumor_rate": 0,
        }
    )


def test_intervals_hold_the_value_and_shrink_with_more_data(predictions):
    labels, probabilities = predictions
    few, many = measure(labels[:50], probabilities[:50], CLASSES), measure(labels, probabilities, CLASSES)
    for name, interval in many.__pydantic_extra__.items():
        assert interval.low <= interval.value + 0.02
        assert interval.value <= interval.high + 0.02
        if name == "accuracy":
            before = few.__pydantic_extra__[name]
            assert interval.high - interval.low < before.high - before.low
    assert (many.images, many.groups) == (300, None)


def test_copies_in_one_group_do_not_make_the_interval_narrower(predictions):
    labels, probabilities = (np.repeat(values[:60], 5, axis=0) for values in predictions)
    groups = [str(index // 5) for index in range(300)]
    alone, grouped = measure(labels, probabilities, CLASSES), measure(labels, probabilities, CLASSES, groups)
    widths = [m.__pydantic_extra__["accuracy"].high - m.__pydantic_extra__["accuracy"].low for m in (alone, grouped)]
    assert widths[1] > 1.7 * widths[0]  # by the square root of 5, if it were exact
    assert grouped.groups == 60


def test_metrics_equal_scikit_learns(predictions):
    labels, probabilities = predictions
    expected = sklearn_confusion_matrix(labels, probabilities.argmax(axis=1))
    assert np.array_equal(confusion_matrix(labels, probabilities), expected)
    predicted = probabilities.argmax(axis=1)
    assert metrics.balanced_accuracy(labels, probabilities) == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics.macro_f1(labels, probabilities) == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics.macro_roc_auc(labels, probabilities) == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert metrics.negative_log_likelihood(labels, probabilities) == pytest.approx(log_loss(labels, probabilities))


def test_ece_is_the_textbook_sum_over_bins(predictions):
    labels, probabilities = predictions
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for index in range(15):
        inside = (confidence >= index / 15) & (confidence < (index + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)


def test_missed_tumors_are_tumors_called_notumor():
    labels = np.array([0, 0, 1, 1, 2, 2])
    predicted = np.array([2, 0, 1, 0, 2, 0])
    measured = measure(labels, np.eye(3)[predicted], CLASSES)
    assert measured.__pydantic_extra__["missed_tumor_rate"].value == 0.25


def test_without_a_healthy_class_there_are_no_missed_tumors(predictions):
    measured = measure(predictions[0], predictions[1], ("a", "b", "c"))
    assert "missed_tumor_rate" not in measured.__pydantic_extra__
