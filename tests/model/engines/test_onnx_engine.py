import subprocess
import sys

import onnx
import pytest

from model.checkpoints.exported_card import CARD_KEY, SHA256_KEY
from model.engines.onnx_engine import OnnxEngine
from model.errors import CheckpointError


@pytest.fixture
def path(tiny_pair, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(tiny_pair[1].read_bytes())
    return copy


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.onnx: there is no such file"):
        OnnxEngine(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_a_file_cut_short_is_refused(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError, match=r"copy\.onnx"):
        OnnxEngine(path)


def test_what_is_no_onnx_is_refused(path):
    path.write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="not an ONNX model"):
        OnnxEngine(path)


@pytest.mark.parametrize("key", [CARD_KEY, SHA256_KEY])
def test_a_file_of_another_project_is_refused(path, key):
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="python -m model export"):
        OnnxEngine(path)


def test_a_damaged_card_is_refused(path):
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == CARD_KEY).value = "{"
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="card is damaged"):
        OnnxEngine(path)


def test_a_card_that_does_not_fit_the_graph_is_refused(path):
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == CARD_KEY)
    entry.value = entry.value.replace('"input_size":64', '"input_size":96')
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="inputs its card describes"):
        OnnxEngine(path)


def test_a_file_from_before_there_were_features_is_refused_with_the_command_that_renews_it(path):
    model = onnx.load(path)
    kept = [output for output in model.graph.output if output.name != "features"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=r"copy\.onnx: its graph lacks the output 'features'.*model export"):
        OnnxEngine(path)


def test_the_library_is_told_to_send_nothing_before_it_is_loaded():
    script = "import os, sys, model.engines.onnx_engine; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "1\n"


def test_an_image_has_all_cores_only_while_it_is_alone_and_no_other_is_expected(path):
    engine = OnnxEngine(path, num_threads=2)
    for num_expected, may_have_all in ((0, True), (1, True), (2, False), (1, True)):
        engine.expect(num_expected)
        with engine._session() as first, engine._session() as second:
            assert (first is engine._wide) is may_have_all
            assert second is engine._narrow
