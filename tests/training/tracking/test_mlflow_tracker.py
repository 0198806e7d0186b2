import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from model.classifier import Classifier
from model.engines.onnx_engine import OnnxEngine
from tests.samples.phantoms import TINY_SIZE
from training.errors import TrackingError
from training.recipe_files import load_recipe
from training.run import CURVES_FILE, FIGURES_FOLDER, EpochResult, RunReport
from training.tracking.mlflow_tracker import EXPERIMENT, MlflowTracker
from training.tracking.tracker import SOURCE, RunDescription, Trackers, describe_run, find_commit

ROOT = Path(__file__).parents[3]
RECIPE = load_recipe("efficientnet_b0_scratch", {})
RESULTS = [EpochResult(epoch, 1, 64, 1e-3, 1.0, 0.5, 0.9 / epoch, 0.6, 1.5) for epoch in (1, 2)]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # MLflow's own


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """MLflow's server on a free port, with an SQLite database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([*command, *store], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(f"{uri}/health", process)
        yield uri
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def report(tiny_pair, tmp_path_factory):
    """A finished run whose weights are the tiny network's."""
    folder = tmp_path_factory.mktemp("run") / RECIPE.name
    folder.mkdir()
    for name in ("summary.json", "log.csv", CURVES_FILE):
        (folder / name).write_text(name, encoding="utf-8")
    figures = {f"official_test/{name}": folder / f"{name}.png" for name in ("roc", "reliability")}
    for index, path in enumerate(figures.values()):
        Image.new("RGB", (40, 30 + index), "red").save(path)
    summary = {
        "sha256": "ab12",
        "training": {"best_epoch": 2},
        "metrics": {"official_test": {"images": 8, "accuracy": {"value": 0.75, "low": 0.5, "high": 0.9}}},
    }
    checkpoint, exported = (folder / f"{RECIPE.name}{path.suffix}" for path in tiny_pair)
    shutil.copy(tiny_pair[0], checkpoint)
    shutil.copy(tiny_pair[1], exported)
    return RunReport(checkpoint, exported, summary, figures)


def _record(uri, report, results):
    description = describe_run(RECIPE, report.checkpoint.parent, {"split": "official"})
    with Trackers([MlflowTracker(uri, description)]) as trackers:
        for result in results:
            trackers.write(result)
        trackers.finish(report)


@pytest.fixture(scope="module")
def recorded(server, report):
    """The run on the server, with a client to it."""
    _record(server, report, RESULTS)
    client = MlflowClient(tracking_uri=server)
    return _find_run(client), client


def _find_run(client):
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    return run


@pytest.mark.slow
def test_a_run_is_recorded_with_parameters_curves_tests_and_the_code(recorded):
    run, client = recorded
    assert (run.info.status, run.info.run_name) == ("FINISHED", RECIPE.name)
    assert run.data.params["learning_rate"] == str(RECIPE.learning_rate)
    assert run.data.params["split"] == "official"
    history = client.get_metric_history(run.info.run_id, "validation/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.9), (2, 0.45)]
    assert run.data.metrics["official_test/accuracy"] == 0.75
    commit, _, dirty = find_commit().partition("-")
    assert run.data.tags["mlflow.source.name"] == SOURCE
    assert run.data.tags["mlflow.source.git.commit"] == commit
    assert run.data.tags["mlflow.source.git.dirty"] == str(bool(dirty)).lower()


@pytest.mark.slow
def test_its_files_and_pictures_are_kept(recorded, report, tmp_path):
    run, client = recorded
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"summary.json", "log.csv", CURVES_FILE} <= names
    folder = Path(client.download_artifacts(run.info.run_id, FIGURES_FOLDER, str(tmp_path)))
    kept = {path.relative_to(folder).with_suffix("").as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
    assert kept == {name: path.read_bytes() for name, path in report.figures.items()}


@pytest.mark.slow
def test_the_registered_model_is_read_by_mlflow_and_by_the_service(recorded, report, server, tmp_path):
    run, client = recorded
    (version,) = client.search_model_versions(f"name='{RECIPE.name}'")
    assert version.run_id == run.info.run_id
    assert version.tags["sha256"] == "ab12"
    mlflow.set_tracking_uri(server)
    inputs = np.random.default_rng(0).normal(size=(2, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)
    feed = {"inputs": inputs, "targets": np.array([-1, 0]), "explain": np.array(True)}
    expected = OnnxEngine(report.exported).explain(inputs, feed["targets"])
    for uri in (f"models:/{RECIPE.name}/{version.version}", f"runs:/{run.info.run_id}/model"):
        model = mlflow.pyfunc.load_model(uri)
        assert model.metadata.signature.inputs.input_names() == list(feed)
        found = model.predict(feed)
        np.testing.assert_allclose(found["logits"], expected.logits, atol=1e-5)
        np.testing.assert_allclose(found["heatmaps"], expected.heatmaps, atol=1e-5)
    copied = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    assert Classifier.load(copied / "model.onnx").identity == Classifier.load(report.exported).identity
    assert (copied / "extra_files" / report.checkpoint.name).read_bytes() == report.checkpoint.read_bytes()


@pytest.mark.slow
def test_a_resumed_run_is_recorded_where_it_was(recorded, report, server):
    run, client = recorded
    _record(server, report, [])
    assert _find_run(client).info.run_id == run.info.run_id
    kept = json.loads((report.checkpoint.parent / "tracking.json").read_text(encoding="utf-8"))
    assert kept == {"mlflow": run.info.run_id}
    versions = client.search_model_versions(f"name='{RECIPE.name}'")
    assert sorted(int(version.version) for version in versions) == [1, 2]


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
