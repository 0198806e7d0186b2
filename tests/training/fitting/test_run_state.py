import pytest
import torch

from training.errors import RunError
from training.fitting.run_state import RunState, load_state, save_state
from training.recipe import load_recipe
from training.run import EpochResult

RECIPE = load_recipe("efficientnet_b0", {})
RESULT = EpochResult(1, 1, 224, 1e-3, 1.0, 0.5, 0.9, 0.6, 12.5)
STATE = RunState({"network": {"w": torch.ones(3)}}, {"w": torch.ones(3)}, 1, (RESULT,), {"groups_sha256": "abc"})


def test_a_state_survives_the_way_through_a_file(tmp_path):
    save_state(tmp_path / "last.pt", STATE, RECIPE, "abc")
    loaded = load_state(tmp_path / "last.pt", RECIPE, "abc")
    assert loaded.history == STATE.history
    assert loaded.best_epoch == 1
    assert loaded.sources == STATE.sources
    assert torch.equal(loaded.best_weights["w"], STATE.best_weights["w"])


def test_nothing_to_resume_is_an_error(tmp_path):
    with pytest.raises(RunError, match="nothing to resume"):
        load_state(tmp_path / "last.pt", RECIPE, "abc")


@pytest.mark.parametrize(
    ("recipe", "manifest", "expected"),
    [
        (load_recipe("efficientnet_b0", {"learning_rate": 0.1}), "abc", "other hyper-parameters"),
        (RECIPE, "xyz", "data have changed"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, recipe, manifest, expected):
    save_state(tmp_path / "last.pt", STATE, RECIPE, "abc")
    with pytest.raises(RunError, match=expected):
        load_state(tmp_path / "last.pt", recipe, manifest)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_damaged_state_is_not_resumed(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(RunError, match="cannot resume"):
        load_state(tmp_path / "last.pt", RECIPE, "abc")


def test_another_file_is_not_resumed(tmp_path):
    torch.save({"format": "other"}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="not the state of a run"):
        load_state(tmp_path / "last.pt", RECIPE, "abc")
