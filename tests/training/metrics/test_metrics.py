import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from training.metrics.metrics import (
    calibration_bins,
    class_metrics,
    confusion_matrix,
    expected_calibration_error,
    find_healthy_class,
    measure,
    split_means,
    split_metrics,
    wilson_intervals,
)

CLASSES = ("glioma", "meningioma", "notumor")


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    logits = generator.normal(size=(300, 3)) + 2 * np.eye(3)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_copies_in_one_group_do_not_make_the_interval_narrower(predictions):
    labels, probabilities = (np.repeat(values[:60], 5, axis=0) for values in predictions)
    groups = [str(index // 5) for index in range(300)]
    alone, grouped = measure(labels, probabilities, CLASSES), measure(labels, probabilities, CLASSES, groups)
    widths = [m.__pydantic_extra__["accuracy"].high - m.__pydantic_extra__["accuracy"].low for m in (alone, grouped)]
    assert widths[1] > 1.7 * widths[0]  # by the square root of 5, if it were exact
    assert grouped.groups == 60


def test_metrics_equal_scikit_learns(predictions):
    labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    assert np.array_equal(confusion_matrix(labels, probabilities), sklearn_confusion_matrix(labels, predicted))
    values = {
        name: value[0] for name, value in split_metrics(labels, probabilities, CLASSES, np.ones((1, 300))).items()
    }
    assert values["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert values["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert values["macro_roc_auc"] == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert values["nll"] == pytest.approx(log_loss(labels, probabilities))
    assert values["brier"] == pytest.approx(((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1).mean())


def test_metrics_of_a_class_equal_scikit_learns(predictions):
    labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    for label in range(3):
        true, called = labels == label, predicted == label
        values = {
            name: value[0] for name, value in class_metrics(labels, probabilities, label, np.ones((1, 300))).items()
        }
        expected = {
            "sensitivity": recall_score(true, called),
            "specificity": recall_score(~true, ~called),
            "ppv": precision_score(true, called),
            "npv": precision_score(~true, ~called),
            "f1": f1_score(true, called),
            "roc_auc": roc_auc_score(true, probabilities[:, label]),
            "average_precision": average_precision_score(true, probabilities[:, label]),
        }
        assert values == pytest.approx(expected)


def test_an_image_that_weighs_three_is_three_images(predictions):
    labels, probabilities = predictions
    times = np.random.default_rng(1).integers(0, 4, 300)
    repeated = np.repeat(labels, times), np.repeat(probabilities, times, axis=0)
    weights, ones = times[None].astype(float), np.ones((1, times.sum()))
    pairs = [(split_metrics(labels, probabilities, CLASSES, weights), split_metrics(*repeated, CLASSES, ones))]
    pairs += [
        (class_metrics(labels, probabilities, label, weights), class_metrics(*repeated, label, ones))
        for label in range(3)
    ]
    for weighed, counted in pairs:
        assert {name: value[0] for name, value in weighed.items()} == pytest.approx(
            {name: value[0] for name, value in counted.items()}
        )


def test_ece_is_the_textbook_sum_over_bins(predictions):
    labels, probabilities = predictions
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)
    bins = calibration_bins(labels, probabilities)
    assert sum(found.count for found in bins) == 300
    gaps = sum(found.count * abs(found.confidence - found.accuracy) for found in bins) / 300
    assert gaps == pytest.approx(expected)
    assert all(found.low < found.confidence <= found.high for found in bins)


def test_what_is_never_called_has_no_predictive_value():
    labels, predicted = np.array([0, 1, 2]), np.array([0, 0, 0])
    values = class_metrics(labels, np.eye(3)[predicted], 1, np.ones((1, 3)))
    assert np.isnan(values["ppv"][0])
    assert values["sensitivity"][0] == 0


def test_among_tumours_alone_notumor_is_no_answer():
    labels = np.array([0, 1, 1, 2])
    probabilities = np.array([[0.3, 0.1, 0.6], [0.2, 0.3, 0.5], [0.4, 0.1, 0.5], [0.1, 0.1, 0.8]])
    measured = measure(labels, probabilities, CLASSES).__pydantic_extra__
    assert measured["tumor_accuracy"].value == pytest.approx(2 / 3)
    assert measured["missed_tumor_rate"].value == 1


def test_proportions_are_counted(predictions):
    labels, probabilities = predictions
    means = split_means(labels, probabilities, CLASSES)
    counted = wilson_intervals(means)
    assert set(counted) == {"accuracy", "missed_tumor_rate", "false_alarm_rate", "tumor_accuracy"}
    assert counted["missed_tumor_rate"].total == (labels != 2).sum()
    for name, found in counted.items():
        assert found.count / found.total == pytest.approx(means[name](np.ones((1, 300)))[0])


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (("glioma", "notumor"), 1),
        (("no_tumor", "yes"), 0),
        (("No Tumour", "Tumour"), 0),
        (("normal", "abnormal"), 0),
        (("a", "b"), None),
        (("normal", "healthy", "glioma"), None),
    ],
)
def test_the_healthy_class_is_found_by_its_name(classes, found):
    assert find_healthy_class(classes) == found


def test_without_a_healthy_class_there_are_no_missed_tumors(predictions):
    measured = measure(predictions[0], predictions[1], ("a", "b", "c"))
    assert "missed_tumor_rate" not in measured.__pydantic_extra__
