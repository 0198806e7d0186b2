from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.data.carving import Fold
from training.data.scans import Manifest, Scan
from training.data.splits import DataSplits
from training.errors import RunError
from training.fitting.run_data import RunData
from training.fitting.run_state import RunState, load_state, save_state
from training.recipe import change_recipe
from training.recipe_files import load_recipe
from training.run import EpochResult

RECIPE = load_recipe("efficientnet_b0", {"epochs": 3})
RESULT = EpochResult(1, 1, 224, 1e-3, 1.0, 0.5, 0.9, 0.6, 12.5)
SOURCES = {"groups_sha256": "abc", "initial_weights_sha256": "def"}
STATE = RunState({"network": {"w": torch.ones(3)}}, {"w": torch.ones(3)}, 1, (RESULT,), SOURCES)
SCAN = Scan(Path("a.png"), 0)
DATA = RunData(
    DataSplits("grouped", ("a", "b"), (SCAN,) * 5, (SCAN,) * 2, (SCAN,), ()), (), {}, Manifest((), "abc"), None
)


@pytest.fixture
def path(tmp_path):
    save_state(tmp_path / "last.pt", STATE, RECIPE, DATA)
    return tmp_path / "last.pt"


def test_a_state_survives_the_way_through_a_file(path):
    loaded = load_state(path, RECIPE, DATA, SOURCES)
    assert loaded.history == STATE.history
    assert loaded.best_epoch == 1
    assert loaded.sources == STATE.sources
    assert torch.equal(loaded.best_weights["w"], STATE.best_weights["w"])


def test_nothing_to_resume_is_an_error(tmp_path):
    with pytest.raises(RunError, match="nothing to resume"):
        load_state(tmp_path / "last.pt", RECIPE, DATA, SOURCES)


@pytest.mark.parametrize(
    ("recipe", "data", "sources", "expected"),
    [
        ({"learning_rate": 0.1}, {}, SOURCES, ["learning_rate is 0.001 there and 0.1 here"]),
        ({"augmentation.shear": 2, "seed": 5}, {}, SOURCES, ["augmentation.shear is 0.0 there and 2.0 here", "seed"]),
        ({"epochs": 2}, {}, SOURCES, ["stages is"]),
        ({"epochs": 4, "seed": 5}, {}, SOURCES, ["stages is", "seed is 0 there and 5 here"]),
        ({}, {"manifest": Manifest((), "xyz")}, SOURCES, ['manifest_sha256 is "abc" there and "xyz" here']),
        ({}, {"fold": Fold(1, 5)}, SOURCES, ['fold is null there and {"number": 1, "count": 5} here']),
        ({}, {"splits": replace(DATA.splits, train=())}, SOURCES, ["scans.train is 5 there and 0 here"]),
        ({}, {}, {}, ['groups_sha256 is "abc" there and null here']),
        ({}, {}, {**SOURCES, "initial_weights_sha256": "x"}, ['initial_weights_sha256 is "def" there and "x" here']),
    ],
)
def test_values_that_differ_are_named_with_both_values(path, recipe, data, sources, expected):
    with pytest.raises(RunError, match="cannot resume") as caught:
        load_state(path, change_recipe(RECIPE, recipe), replace(DATA, **data), sources)
    assert all(text in str(caught.value) for text in expected)


def test_weights_to_start_from_need_not_be_named_again(path):
    assert load_state(path, RECIPE, DATA, {"groups_sha256": "abc"}).sources == SOURCES


def test_more_epochs_extend_a_run_unless_the_schedule_forbids_it(path):
    assert load_state(path, change_recipe(RECIPE, {"epochs": 5}), DATA, SOURCES).history == STATE.history
    cosine = change_recipe(RECIPE, {"schedule": "cosine"})
    save_state(path, STATE, cosine, DATA)
    with pytest.raises(RunError, match=r"from 3 to 5 epochs: .*cosine"):
        load_state(path, change_recipe(cosine, {"epochs": 5}), DATA, SOURCES)
    early = change_recipe(RECIPE, {"early_stopping_patience": 1})
    save_state(path, replace(STATE, history=(RESULT, replace(RESULT, epoch=2))), early, DATA)
    with pytest.raises(RunError, match="epoch 2 was the last"):
        load_state(path, change_recipe(early, {"epochs": 5}), DATA, SOURCES)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_damaged_state_is_not_resumed(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(RunError, match="cannot resume"):
        load_state(tmp_path / "last.pt", RECIPE, DATA, SOURCES)


def test_another_file_is_not_resumed(tmp_path):
    torch.save({"format": "other"}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="not the state of a run"):
        load_state(tmp_path / "last.pt", RECIPE, DATA, SOURCES)
