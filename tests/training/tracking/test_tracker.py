import json
import subprocess
from pathlib import Path

import pytest

from tests.samples.phantoms import AWKWARD_CLASSES
from training.errors import TrackingError
from training.recipe_files import load_recipe
from training.run import EpochResult, RunReport
from training.tracking.tracker import (
    Trackers,
    describe_run,
    find_commit,
    list_metrics,
    list_test_metrics,
    recall_identity,
    remember_identity,
)

RESULT = EpochResult(3, 1, 64, 1e-3, 1.0, 0.5, 0.9, 0.6, 1.5)


class _Recorder:
    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.records: list[object] = []

    def _record(self, what: object) -> None:
        if not self.works:
            raise TrackingError("the server is away")
        self.records.append(what)

    def write(self, result: EpochResult) -> None:
        self._record(result)

    def show(self, name: str, picture: Path, epoch: int) -> None:
        self._record((name, picture, epoch))

    def finish(self, report: RunReport) -> None:
        self._record(report)

    def close(self, *, failed: bool) -> None:
        self._record(failed)


def test_one_that_fails_stops_neither_the_run_nor_the_others(caplog):
    broken, working = _Recorder(works=False), _Recorder()
    picture = Path("figures/official_test/roc.png")
    report = RunReport(Path(), Path(), {"training": {"best_epoch": 2}}, {"official_test/roc": picture})
    with Trackers([broken, working]) as trackers:
        trackers.write(RESULT)
        trackers.finish(report)
    assert working.records == [RESULT, report, ("official_test/roc", picture, 2), False]
    assert caplog.text.count("the server is away") == 4


def test_a_run_that_fails_is_recorded_as_failed():
    recorder = _Recorder()
    with pytest.raises(RuntimeError), Trackers([recorder]):
        raise RuntimeError
    assert recorder.records == [True]


def test_a_description_holds_every_value_of_the_recipe(tmp_path):
    run = describe_run(load_recipe("binary_cnn", {}), tmp_path / "fold-1", {"split": "grouped"})
    assert run.name == "binary_cnn fold-1"
    assert describe_run(load_recipe("binary_cnn", {}), tmp_path / "binary_cnn", {}).name == "binary_cnn"
    assert run.parameters["learning_rate"] == 7e-4
    assert run.parameters["augmentation.shear"] == 10
    assert run.parameters["class_map.notumor"] == "no_tumor"
    assert json.loads(str(run.parameters["stages"]))[0]["image_size"] == 150
    assert run.parameters["split"] == "grouped"


def test_names_that_trackers_refuse_are_values_instead(tmp_path):
    recipe = load_recipe("binary_cnn", {"class_map": dict.fromkeys(AWKWARD_CLASSES, "tumor")})
    described = json.loads(str(describe_run(recipe, tmp_path, {}).parameters["class_map"]))
    assert described == recipe.class_map


def test_the_commit_is_that_of_the_code_wherever_one_works(tmp_path, monkeypatch):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    monkeypatch.chdir(tmp_path)
    assert find_commit().removesuffix("-dirty") == head.stdout.strip()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_commit() == ""


def test_metrics_have_names():
    assert list_metrics(RESULT)["validation/loss"] == 0.9
    assert "epoch" not in list_metrics(RESULT)
    summary = {"metrics": {"official_test": {"images": 8, "groups": None, "accuracy": {"value": 0.75, "low": 0}}}}
    assert list_test_metrics(RunReport(Path(), Path(), summary)) == {"official_test/accuracy": 0.75}


def test_an_identity_is_remembered_beside_others(tmp_path):
    assert recall_identity(tmp_path, "mlflow") is None
    remember_identity(tmp_path, "mlflow", "a")
    remember_identity(tmp_path, "wandb", "b")
    assert [recall_identity(tmp_path, name) for name in ("mlflow", "wandb", "other")] == ["a", "b", None]
