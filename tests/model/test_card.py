import numpy as np
import pytest

from model.card import Interval, ModelCard, PackedArray, Preprocessing, PublicCard, Region, SplitMetrics, parse_card
from model.engines.onnx_engine import OnnxEngine
from model.errors import CheckpointError
from tests.samples.phantoms import AWKWARD_CLASSES, create_card, create_tiny_network
from training.errors import RecipeError
from training.recipe_files import load_recipe


@pytest.fixture(scope="module")
def fields():
    return create_card(create_tiny_network()).model_dump(mode="json")


def test_a_card_survives_json(fields):
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
        ({"conformal": {"level": 1, "threshold": 0.5}}, "conformal.level"),
        ({"conformal": {"level": 0.95}}, "conformal.threshold"),
        ({"review": {"required_confidence": 2}}, "review.required_confidence"),
        ({"outlier_detector": {"method": "magic"}}, "outlier_detector.method"),
    ],
)
def test_parse_card_names_the_field_that_is_wrong(fields, change, named):
    with pytest.raises(CheckpointError, match=named):
        parse_card({**fields, **change})


@pytest.mark.parametrize("content", [None, [], "card", 1])
def test_parse_card_refuses_other_types(content):
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


@pytest.mark.parametrize("std", [[1, 0, 1], [1, -1, 1], [1, float("nan"), 1]])
def test_deviations_are_positive_in_cards_and_recipes(fields, std):
    with pytest.raises(CheckpointError, match=r"preprocessing\.std\.1"):
        parse_card({**fields, "preprocessing": {"std": std}})
    with pytest.raises(RecipeError, match=r"std\.1"):
        load_recipe("efficientnet_b0", {"std": std})


def test_any_name_of_a_folder_is_a_class(fields):
    card = parse_card({**fields, "classes": AWKWARD_CLASSES, "class_map": {"a": AWKWARD_CLASSES[0]}})
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_a_card_without_calibration_is_valid(fields):
    new = {"conformal", "outlier_detector", "review"}
    card = parse_card({key: value for key, value in fields.items() if key not in new})
    assert (card.conformal, card.outlier_detector, card.review) == (None, None, None)


def test_an_array_comes_back_to_a_part_in_a_thousand():
    values = np.random.default_rng(0).normal(size=(5, 3))
    packed = PackedArray.encode(values)
    assert packed.shape == (5, 3)
    np.testing.assert_allclose(packed.decode(), values, rtol=1e-3)
    assert PackedArray.encode(packed.decode()) == packed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"shape": [4]}, "as many numbers as shape"),
        ({"shape": [0]}, "greater than 0"),
        ({"float16": "?"}, "base64"),
        ({"float16": "AHwAfAB8"}, "finite"),  # three times infinity
    ],
)
def test_a_damaged_array_is_refused(changes, named):
    fields = {**PackedArray.encode(np.arange(3.0)).model_dump(), **changes}
    with pytest.raises(ValueError, match=named):
        PackedArray.model_validate(fields)


@pytest.mark.parametrize("wrong", ["mean", "scale", "components", "centres"])
def test_arrays_that_do_not_fit_together_are_refused(wrong):
    shapes = {"mean": (6,), "scale": (6,), "components": (6, 2), "centres": (4, 2)}
    good = {name: PackedArray.encode(np.ones(shape)) for name, shape in shapes.items()}
    Region(**good, limit=1.0)
    with pytest.raises(ValueError, match="must have the shapes"):
        Region(**{**good, wrong: PackedArray.encode(np.ones((5, 5, 5)))}, limit=1.0)


def test_the_description_leaves_out_arrays_and_self_test_alone(calibrated_pair):
    card = OnnxEngine(calibrated_pair[1]).card
    shown, whole = card.describe(), card.model_dump(mode="json")
    assert set(shown) == set(whole) - {"self_test_logits"} == set(PublicCard.model_fields)
    assert set(shown["outlier_detector"]) == {"method", "threshold", "percentile"}
    assert all(whole[name] == value for name, value in shown.items() if name != "outlier_detector")
