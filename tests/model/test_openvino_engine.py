import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from model.classifier import Classifier, softmax
from model.engine import Library, Precision, Runtime, load_engine
from model.errors import CheckpointError
from model.exported_card import CARD_KEY, SHA256_KEY
from model.onnx_engine import OnnxEngine
from model.openvino_engine import OpenvinoEngine
from tests.phantoms import TINY_SIZE, draw_scan, encode
from tests.server import ROOT

INPUTS = np.random.default_rng(0).normal(size=(5, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)
OPENVINO = Runtime(Library.OPENVINO)


@pytest.fixture(scope="module")
def engine(tiny_pair):
    return OpenvinoEngine(tiny_pair[1], num_threads=2)


@pytest.mark.parametrize("target", [-1, 0, 1, 2])
def test_it_says_what_onnx_runtime_says(exported_pair, target):
    targets = np.full(len(INPUTS), target)
    expected = OnnxEngine(exported_pair[1]).explain(INPUTS, targets)
    found = OpenvinoEngine(exported_pair[1]).explain(INPUTS, targets)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-4)
    np.testing.assert_allclose(found.heatmaps, expected.heatmaps, atol=1e-3)


def test_with_and_without_the_map_it_says_the_same(engine):
    outputs, explanation = engine.predict(INPUTS), engine.explain(INPUTS, np.full(len(INPUTS), -1))
    np.testing.assert_allclose(outputs.logits, explanation.logits, atol=1e-5)
    np.testing.assert_allclose(outputs.features, explanation.features, atol=1e-5)


def test_eight_threads_get_what_one_gets(engine):
    jobs = [(INPUTS[i : i + 1], np.array([t])) for i in range(5) for t in (-1, 0, 1, 2)] * 4
    expected = [engine.explain(*job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: engine.explain(*job), jobs))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-5)
        np.testing.assert_allclose(ours.heatmaps, theirs.heatmaps, atol=1e-4)


def test_what_was_answered_stays_as_it_is_when_the_next_image_comes(engine):
    first = engine.predict(INPUTS[:1])
    kept = first.logits.copy()
    engine.predict(INPUTS[1:])
    assert np.array_equal(first.logits, kept)


def test_the_runtime_chooses_it_and_a_classifier_can_be_made_of_it(tiny_pair):
    data = encode(draw_scan(96, (0.4, 0.6)))
    ours, theirs = Classifier.load(tiny_pair[1], runtime=OPENVINO), Classifier.load(tiny_pair[1])
    assert ours.engine_name == "openvino"
    assert ours.identity == theirs.identity
    assert ours.predict(data).probabilities == pytest.approx(theirs.predict(data).probabilities, abs=1e-4)


def test_reduced_precision_has_a_name_of_its_own_and_nearly_the_same_probabilities(tiny_pair):
    engine = load_engine(tiny_pair[1], 2, Runtime(Library.OPENVINO, Precision.BF16))
    assert engine.name == "openvino-bf16"
    probabilities = softmax(engine.predict(INPUTS).logits)
    np.testing.assert_allclose(probabilities, softmax(OnnxEngine(tiny_pair[1]).predict(INPUTS).logits), atol=0.1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.onnx: there is no such file"):
        OpenvinoEngine(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_a_file_cut_short_is_refused(tiny_pair, tmp_path, part):
    data = tiny_pair[1].read_bytes()
    (tmp_path / "copy.onnx").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError, match=r"copy\.onnx"):
        OpenvinoEngine(tmp_path / "copy.onnx")


@pytest.mark.parametrize("key", [CARD_KEY, SHA256_KEY])
def test_a_file_of_another_project_is_refused(tiny_pair, tmp_path, key):
    model = onnx.load(tiny_pair[1])
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path / "copy.onnx")
    with pytest.raises(CheckpointError, match="python -m model export"):
        OpenvinoEngine(tmp_path / "copy.onnx")


@pytest.mark.parametrize(
    ("index", "runtime"),
    [(0, OPENVINO), (0, Runtime(precision=Precision.BF16)), (1, Runtime(precision=Precision.BF16))],
)
def test_an_impossible_runtime_is_refused(tiny_pair, index, runtime):
    with pytest.raises(CheckpointError, match="only OpenVINO computes in another precision"):
        load_engine(tiny_pair[index], runtime=runtime)


def test_without_openvino_the_refusal_names_what_to_install(tiny_pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "model.openvino_engine", None)
    with pytest.raises(CheckpointError, match=r"requirements-openvino\.txt"):
        load_engine(tiny_pair[1], runtime=OPENVINO)


def test_it_connects_to_nobody(tiny_pair):
    script = """
import socket, sys
def refuse(*_arguments):
    raise AssertionError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
from model.classifier import Classifier
from model.engine import Library, Runtime
Classifier.load(Path(sys.argv[1]), runtime=Runtime(Library.OPENVINO))
"""
    subprocess.run([sys.executable, "-c", script, str(tiny_pair[1])], check=True)


_FREE_AND_SIGNAL = """
import os, signal, sys
from pathlib import Path
from model.openvino_engine import OpenvinoEngine
signal.signal(signal.SIGUSR1, lambda number, frame: print("handled"))
engine = OpenvinoEngine(Path(sys.argv[1]))
del engine
blocks = [bytearray(65536) for _ in range(1000)]
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_finds_its_stack_when_the_engine_is_gone(tiny_pair):
    command = [sys.executable, "-X", "faulthandler", "-c", _FREE_AND_SIGNAL, str(tiny_pair[1])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
