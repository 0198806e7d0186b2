"""The five reference systems, from their recipes to answers over HTTP, in small."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from api.main import create_app
from api.settings import Settings
from model.checkpoints.checkpoint import load_checkpoint
from model.engines.loading import load_engine
from model.preprocessing import preprocess_image
from tests.model.networks.test_gradcam import reference_maps
from tests.samples.phantoms import draw_scan, encode
from tests.service.systems import FOLDERS, TINY_VALUES, tiny_values, write_four_classes
from training.calibration import calibration
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import ModelCardOptions, write_model_card
from training.evaluation.report import render_report
from training.fitting.fit import fit
from training.fitting.options import FitOptions
from training.learning.starting_weights import create_training_network
from training.recipe_files import load_recipe
from training.run import RunReport

BINARY = ("no_tumor", "tumor")
SCAN = encode(draw_scan(80, (0.35, 0.4), seed=5)[:70])


@dataclass(frozen=True)
class System:
    name: str
    data: Path
    run: RunReport

    @property
    def classes(self) -> tuple[str, ...]:
        return BINARY if self.name == "binary_cnn" else FOLDERS


@pytest.fixture(scope="module")
def four_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_four_classes(tmp_path_factory.mktemp("four"))


@pytest.fixture(scope="module", params=TINY_VALUES)
def system(request: pytest.FixtureRequest, four_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> System:
    """A run of one of the recipes, calibrated on few scans."""
    recipe = load_recipe(request.param, tiny_values(request.param))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MIN_SET_SCANS", "MIN_UNSEEN_SCANS"):
            patch.setattr(calibration, name, 1)
        run = fit(recipe, FitOptions(four_classes, tmp_path_factory.mktemp(request.param), num_workers=0))
    return System(request.param, four_classes, run)


def test_the_card_carries_what_serving_needs(system):
    recipe = load_recipe(system.name, tiny_values(system.name))
    card = load_checkpoint(system.run.checkpoint).card
    assert card.classes == system.classes
    assert card.preprocessing == recipe.preprocessing()
    assert card.head == recipe.head
    assert card.gradcam_layer == load_recipe(system.name, {}).gradcam_layer
    assert card.class_map == ({name: recipe.class_map[name] for name in FOLDERS} if recipe.class_map else {})
    assert card.conformal is not None
    assert card.outlier_detector is not None
    assert card.review is not None
    assert card.review.healthy_class in ("notumor", "no_tumor")


def test_maps_of_both_engines_equal_the_reference_library(system):
    checkpoint = load_checkpoint(system.run.checkpoint)
    inputs = np.concatenate(
        [preprocess_image(draw_scan(80, (0.4, 0.5), seed), checkpoint.card.preprocessing) for seed in range(2)]
    )
    for index in range(len(system.classes)):
        targets = np.full(len(inputs), index, np.int64)
        expected = reference_maps(
            checkpoint.network, checkpoint.card.gradcam_layer, torch.from_numpy(inputs), torch.from_numpy(targets)
        )
        for path in (system.run.checkpoint, system.run.exported):
            assert np.abs(load_engine(path).explain(inputs, targets).heatmaps - expected).max() < 1e-3


def test_both_engines_answer_over_http(system):
    answers = []
    for path in (system.run.checkpoint, system.run.exported):
        with TestClient(create_app(Settings(model_path=path, threads=1))) as client:
            answer = client.post("/predict", content=SCAN).json()
            assert tuple(answer["probabilities"]) == system.classes
            assert sum(answer["probabilities"].values()) == pytest.approx(1)
            assert answer["prediction"] in system.classes
            assert set(answer["prediction_set"]) <= set(system.classes)
            assert answer["review"]["level"] in ("none", "consider", "required")
            assert answer["ood"]["score"] >= 0
            for target in system.classes:
                drawn = client.post("/predict/visualize", content=SCAN, params={"target": target})
                assert Image.open(io.BytesIO(drawn.content)).size == (80, 70)
                assert drawn.headers["X-Prediction"] == answer["prediction"]
            assert client.get("/model").json()["head"]["output"] in ("softmax", "sigmoid")
            assert f'prediction="{answer["prediction"]}"' in client.get("/metrics").text
            answers.append(answer)
    assert answers[0]["probabilities"] == pytest.approx(answers[1]["probabilities"], abs=1e-4)


def test_it_is_measured_on_the_folders_it_was_trained_on(system, tmp_path):
    evaluation = evaluate(EvaluationOptions(system.data, system.run.checkpoint, prevalence=0.1, num_threads=1))
    (split, *_) = evaluation.splits
    assert split.classified.probabilities.shape == (24, len(system.classes))
    stated = system.run.summary["metrics"]["official_test"]["accuracy"]["value"]
    assert split.metrics.__pydantic_extra__["accuracy"].value == pytest.approx(stated)
    assert {"missed_tumor_rate", "false_alarm_rate"} <= split.metrics.__pydantic_extra__.keys()
    assert ("tumor_accuracy" in split.metrics.__pydantic_extra__) == (len(system.classes) > 2)
    assert all(name in render_report(evaluation) for name in system.classes)
    (tmp_path / "evaluation.json").write_text(json.dumps(describe_evaluation(evaluation)), encoding="utf-8")
    page = write_model_card(ModelCardOptions(tmp_path / "evaluation.json", system.run.checkpoint))
    assert all(name in page for name in system.classes)


def test_a_frozen_stage_comes_first_and_changes_the_head_only(four_classes, tmp_path):
    values = {**tiny_values("resnet50v2_two_stage"), "stages": [{"epochs": 1, "image_size": 65, "trained_layers": 0}]}
    recipe = load_recipe("resnet50v2_two_stage", values)
    run = fit(recipe, FitOptions(four_classes, tmp_path / "frozen", num_workers=0))
    torch.manual_seed(recipe.seed)
    start = create_training_network(recipe, len(FOLDERS), pretrained=False).state_dict()
    end = load_checkpoint(run.checkpoint).network.state_dict()
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert changed
    assert all(name.startswith("head.fc.") for name in changed)
