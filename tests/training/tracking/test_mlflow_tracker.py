import json
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.samples.phantoms import TINY
from training.errors import TrackingError
from training.fitting.fit import FitOptions, fit
from training.recipe import load_recipe
from training.tracking.mlflow_tracker import EXPERIMENT, MlflowTracker
from training.tracking.tracker import RunDescription

ROOT = Path(__file__).parents[3]
RECIPE = load_recipe(
    "efficientnet_b0_scratch",
    {"architecture": TINY, "stages": [{"epochs": 2, "image_size": 32}], "batch_size": 8, "gradcam_layer": "bn2"},
)


@pytest.fixture(scope="module")
def recorded(data_folder, tmp_path_factory):
    """A run that was recorded in a folder, its report, and a client of the folder."""
    root = tmp_path_factory.mktemp("mlflow")
    uri = (root / "store").as_uri()
    report = fit(RECIPE, FitOptions(data_folder, root / RECIPE.name, num_workers=0, mlflow=uri))
    return report, MlflowClient(tracking_uri=uri), uri


def _run(client):
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_a_run_is_recorded_with_parameters_curves_and_tests(recorded):
    report, client, _ = recorded
    (run,) = _run(client)
    assert (run.info.status, run.info.run_name) == ("FINISHED", RECIPE.name)
    assert run.data.params["learning_rate"] == "0.001"
    assert run.data.params["split"] == "official"
    history = client.get_metric_history(run.info.run_id, "validation/loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (result["epoch"], result["validation_loss"]) for result in report.summary["history"]
    ]
    stated = report.summary["metrics"]["official_test"]["accuracy"]["value"]
    assert run.data.metrics["official_test/accuracy"] == stated


def test_its_files_are_kept_and_the_weights_registered(recorded):
    report, client, _ = recorded
    (run,) = _run(client)
    names = {file.path for folder in ("", "model") for file in client.list_artifacts(run.info.run_id, folder)}
    assert {"summary.json", "log.csv", "learning_curves.png", f"model/{RECIPE.name}.onnx"} <= names
    (version,) = client.search_model_versions(f"name='{RECIPE.name}'")
    assert version.run_id == run.info.run_id
    assert version.tags["sha256"] == report.summary["sha256"]


def test_a_resumed_run_is_recorded_where_it_was(recorded, data_folder):
    report, client, uri = recorded
    folder = report.checkpoint.parent
    fit(RECIPE, FitOptions(data_folder, folder, num_workers=0, resume=True, mlflow=uri))
    (run,) = _run(client)
    assert json.loads((folder / "tracking.json").read_text(encoding="utf-8")) == {"mlflow": run.info.run_id}
    assert [version.version for version in client.search_model_versions(f"name='{RECIPE.name}'")] == [2, 1]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "nonsense://x"])
def test_a_server_that_is_not_there_is_an_error_before_the_first_epoch(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="MLflow at"):
        MlflowTracker(uri, RunDescription("name", tmp_path, {}))


def test_neither_library_is_needed_without_tracking():
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'mlflow', 'wandb'}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import training.command_line\n"
        "from pathlib import Path\n"
        "from training.errors import TrackingError\n"
        "from training.tracking.mlflow_tracker import MlflowTracker\n"
        "from training.tracking.tracker import RunDescription\n"
        "from training.tracking.wandb_tracker import WandbTracker\n"
        "for kind in (MlflowTracker, WandbTracker):\n"
        "    try:\n"
        "        kind('http://127.0.0.1:1', RunDescription('name', Path('.'), {}))\n"
        "    except TrackingError as error:\n"
        "        assert 'requirements/tracking.txt' in str(error)\n"
        "    else:\n"
        "        raise AssertionError(kind)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
