import numpy as np
import pytest

from training.errors import DataError
from training.metrics.metrics import class_metrics, split_metrics
from training.metrics.prevalence import ANY_TUMOR, predictive_values

CLASSES = ("glioma", "meningioma", "notumor")


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    return labels, generator.dirichlet(np.ones(3), 300) * 0.6 + 0.4 * np.eye(3)[labels]


def _values(predictions, prevalence):
    labels, probabilities = predictions
    found = predictive_values(labels, probabilities, CLASSES, prevalence, np.ones((1, 300)))
    return {name: value[0] for name, value in found.items()}


@pytest.mark.parametrize("prevalence", [0.001, 0.05, 0.5, 0.9])
def test_it_is_bayes_theorem(predictions, prevalence):
    labels, probabilities = predictions
    measured = split_metrics(labels, probabilities, CLASSES, np.ones((1, 300)))
    sensitivity, specificity = 1 - measured["missed_tumor_rate"][0], 1 - measured["false_alarm_rate"][0]
    found = _values(predictions, prevalence)
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    assert found[f"{ANY_TUMOR} ppv"] == pytest.approx(true / (true + false))
    true, false = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    assert found[f"{ANY_TUMOR} npv"] == pytest.approx(true / (true + false))
    assert found["notumor ppv"] == pytest.approx(found[f"{ANY_TUMOR} npv"])


def test_at_the_datas_own_prevalence_nothing_changes(predictions):
    labels, probabilities = predictions
    found = _values(predictions, float((labels != 2).mean()))
    for label, name in enumerate(CLASSES):
        plain = class_metrics(labels, probabilities, label, np.ones((1, 300)))
        assert found[f"{name} ppv"] == pytest.approx(plain["ppv"][0])
        assert found[f"{name} npv"] == pytest.approx(plain["npv"][0])


def test_the_rarer_tumours_are_the_less_a_positive_answer_is_worth(predictions):
    values = [_values(predictions, prevalence)[f"{ANY_TUMOR} ppv"] for prevalence in (0.01, 0.1, 0.5)]
    assert values == sorted(values)


def test_without_healthy_scans_there_is_no_prevalence(predictions):
    labels, probabilities = predictions
    with pytest.raises(DataError, match="notumor"):
        predictive_values(labels, probabilities, ("a", "b", "c"), 0.1, np.ones((1, 300)))


def test_a_split_without_healthy_scans_leaves_values_undefined():
    found = predictive_values(np.zeros(4, int), np.eye(3)[[0, 0, 2, 1]], CLASSES, 0.1, np.ones((1, 4)))
    assert np.isnan(found[f"{ANY_TUMOR} ppv"][0])
