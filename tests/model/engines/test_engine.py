import builtins
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.engines.loading import load_engine
from model.errors import CheckpointError
from tests.samples.phantoms import TINY_SIZE

INPUTS = np.random.default_rng(0).normal(size=(6, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)


@pytest.mark.parametrize(("index", "name"), [(0, "torch"), (1, "onnxruntime")])
def test_the_suffix_chooses_the_engine(tiny_pair, index, name):
    assert load_engine(tiny_pair[index]).name == name


@pytest.mark.parametrize("name", ["weights.pt", "weights", "weights.safetensors"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"\.onnx or \.pth"):
        load_engine(tmp_path / name)


def test_without_torch_a_pth_file_is_refused_with_a_way_out(tiny_pair, monkeypatch):
    real_import = builtins.__import__

    def no_torch(name, *arguments, **options):
        if name == "model.engines.torch_engine":
            raise ModuleNotFoundError("No module named 'torch'")
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(CheckpointError, match=r"serve the \.onnx"):
        load_engine(tiny_pair[0])


@pytest.mark.parametrize("index", [0, 1])
def test_eight_threads_get_the_results_of_one(tiny_pair, index):
    engine = load_engine(tiny_pair[index])
    jobs = [(INPUTS[i : i + 1], np.array([t])) for i in range(6) for t in (-1, 0, 1, 2)] * 4
    expected = [engine.explain(*job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: engine.explain(*job), jobs))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-5)
        np.testing.assert_allclose(ours.features, theirs.features, atol=1e-5)
        np.testing.assert_allclose(ours.heatmaps, theirs.heatmaps, atol=1e-4)


@pytest.mark.parametrize("index", [0, 1])
def test_eight_threads_read_their_own_features(tiny_pair, index):
    engine = load_engine(tiny_pair[index])
    batches = [INPUTS[i : i + 1] for i in range(6)] * 4
    expected = [engine.predict(batch).features for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: engine.predict(batch).features, batches))
    np.testing.assert_allclose(found, expected, atol=1e-5)
