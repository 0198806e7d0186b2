import json

import pytest

from model.card import SplitMetrics
from training.evaluation.evaluation_file import describe_evaluation


@pytest.fixture(scope="module")
def described(evaluation):
    return json.loads(json.dumps(describe_evaluation(evaluation), allow_nan=False))


def test_it_names_the_weights_and_the_splits(described, evaluation):
    assert described["checkpoint"]["sha256"] == evaluation.classifier.identity.sha256
    assert list(described["splits"]) == ["official_test", "copy_free_test", "grouped_test"]


def test_a_card_can_take_the_metrics_as_they_are(described):
    for split in described["splits"].values():
        metrics = SplitMetrics(images=split["images"], groups=split["groups"], **split["metrics"])
        assert 0 <= metrics.__pydantic_extra__["accuracy"].value <= 1


def test_counts_values_and_the_matrix_agree(described):
    for split in described["splits"].values():
        matrix = split["confusion_matrix"]
        correct = sum(row[index] for index, row in enumerate(matrix))
        assert split["wilson"]["accuracy"]["count"] == correct
        assert split["metrics"]["accuracy"]["value"] == pytest.approx(correct / split["images"])
        assert sum(found["count"] for found in split["calibration_bins"]) == split["images"]
        for label, name in enumerate(described["classes"]):
            sensitivity = split["per_class"][name]["sensitivity"]["value"]
            assert sensitivity == pytest.approx(matrix[label][label] / sum(matrix[label]))
        confused = sum(sum(row) for row in matrix) - correct
        assert sum(pair["count"] for pair in split["confused_pairs"]) <= confused


def test_paths_are_relative_to_the_data_folder(described, grouped_folder):
    examples = [
        e for split in described["splits"].values() for pair in split["confused_pairs"] for e in pair["examples"]
    ]
    assert examples
    for example in examples:
        assert (grouped_folder / example["path"]).is_file()
        assert not example["path"].startswith("/")
    assert str(grouped_folder) not in json.dumps(described)


def test_predictive_values_are_there_when_a_prevalence_is(described):
    assert described["prevalence"] == 0.05
    assert "glioma npv" in described["splits"]["official_test"]["predictive_values"]
