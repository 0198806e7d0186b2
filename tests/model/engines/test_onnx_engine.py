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
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(CheckpointError, match=r"copy\.onnx: the file is damaged or not an ONNX model"):
        OnnxEngine(path)


def drop_card(model):
    del model.metadata_props[[entry.key for entry in model.metadata_props].index(CARD_KEY)]


def drop_hash(model):
    del model.metadata_props[[entry.key for entry in model.metadata_props].index(SHA256_KEY)]


def damage_card(model):
    find_card(model).value = "{"


def enlarge_inputs(model):
    find_card(model).value = find_card(model).value.replace('"input_size":64', '"input_size":96')


def drop_features(model):
    del model.graph.output[[output.name for output in model.graph.output].index("features")]


def find_card(model):
    return next(entry for entry in model.metadata_props if entry.key == CARD_KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_card, "python -m model export"),
        (drop_hash, "python -m model export"),
        (damage_card, "card is damaged"),
        (enlarge_inputs, "inputs its card describes"),
        (drop_features, "its graph lacks the output 'features'.*model export"),
    ],
)
def test_a_graph_that_does_not_fit_its_card_is_refused(path, change, message):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=rf"copy\.onnx: .*{message}"):
        OnnxEngine(path)


def test_telemetry_is_off_before_the_library_is_loaded():
    script = "import os, sys, model.engines.onnx_engine; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "1\n"


def test_an_image_has_all_cores_only_while_it_is_alone_and_no_other_is_expected(path):
    engine = OnnxEngine(path, num_threads=2)
    for num_expected, may_have_all in ((0, True), (1, True), (2, False), (1, True)):
        engine.expect(num_expected)
        with engine._session() as first, engine._session() as second:
            assert (first is engine._wide) is may_have_all
            assert second is engine._narrow
