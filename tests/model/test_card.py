import pytest

from model.card import Interval, Preprocessing, SplitMetrics, parse_card
from model.errors import CheckpointError
from tests.phantoms import create_card, create_tiny_network


@pytest.fixture(scope="module")
def fields():
    return create_card(create_tiny_network()).model_dump(mode="json")


def test_a_card_survives_the_way_through_json(fields):
    assert parse_card(fields).model_dump(mode="json") == fields


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"classes": ["glioma"]}, "classes"),
        ({"classes": ["glioma", "glioma", "glioma"]}, "class names must differ"),
        ({"self_test_logits": [0.0]}, "self_test_logits"),
        ({"self_test_logits": [0.0, 0.0, float("nan")]}, "self_test_logits"),
        ({"temperature": 0}, "temperature"),
        ({"surprise": 1}, "surprise"),
        ({"name": "a/b"}, "name"),
        ({"preprocessing": {"input_size": 8}}, "preprocessing.input_size"),
        ({"preprocessing": {"std": [1, 0, 1]}}, "std"),
    ],
)
def test_parse_card_names_the_field_that_is_wrong(fields, change, named):
    with pytest.raises(CheckpointError, match=named):
        parse_card({**fields, **change})


@pytest.mark.parametrize("content", [None, [], "card", 1])
def test_parse_card_refuses_what_is_no_table(content):
    with pytest.raises(CheckpointError):
        parse_card(content)


def test_metrics_hold_any_number_of_intervals():
    interval = Interval(value=0.9, low=0.8, high=0.95)
    metrics = SplitMetrics(images=10, accuracy=interval, sensitivity_glioma=interval)
    dumped = metrics.model_dump(mode="json")
    assert dumped["sensitivity_glioma"] == {"value": 0.9, "low": 0.8, "high": 0.95}
    assert SplitMetrics.model_validate(dumped) == metrics


def test_preprocessing_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Preprocessing().input_size = 1  # type: ignore[misc]
