import shutil
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch

from model.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from model.checkpoints.exported_card import read_exported_card
from model.command_line import main
from model.engines.engine import PREDICTED
from model.engines.onnx_engine import OnnxEngine
from model.engines.torch_engine import TorchEngine
from model.errors import CheckpointError
from model.export import _convolution_backward, compare_engines, export_onnx, update_card
from model.reliability.probabilities import softmax
from tests.samples.phantoms import CLASSES, TINY_SIZE, create_card, create_tiny_network, save_tiny_checkpoint

INPUTS = np.random.default_rng(0).normal(size=(5, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)


@pytest.mark.parametrize("target", [PREDICTED, *range(len(CLASSES))])
@pytest.mark.parametrize("num_images", [1, 2, 5])
def test_both_engines_give_the_same_probabilities_and_maps(exported_pair, target, num_images):
    reference, exported = TorchEngine(exported_pair[0]), OnnxEngine(exported_pair[1])
    inputs, targets = INPUTS[:num_images], np.full(num_images, target, np.int64)
    expected, found = reference.explain(inputs, targets), exported.explain(inputs, targets)
    assert np.abs(softmax(expected.logits) - softmax(found.logits)).max() < 1e-4
    assert expected.heatmaps.shape == found.heatmaps.shape
    assert np.abs(expected.heatmaps - found.heatmaps).max() < 1e-3
    outputs = exported.predict(inputs)
    assert np.abs(softmax(outputs.logits) - softmax(expected.logits)).max() < 1e-4
    for features in (found.features, outputs.features):
        np.testing.assert_allclose(features, expected.features, rtol=1e-3, atol=1e-4)


def test_the_file_carries_the_card_and_the_hash_of_its_checkpoint(exported_pair):
    reference, exported = TorchEngine(exported_pair[0]), OnnxEngine(exported_pair[1])
    assert exported.card == reference.card
    assert exported.sha256 == reference.sha256


def test_the_graph_is_valid_and_whole(exported_pair):
    onnx.checker.check_model(onnx.load(exported_pair[1]), full_check=True)
    assert [path.name for path in exported_pair[1].parent.iterdir() if path.suffix != ".pth"] == ["tiny.onnx"]


def test_a_file_of_other_weights_does_not_pass_for_the_checkpoints(tiny_pair, tmp_path):
    other = save_tiny_checkpoint(tmp_path / "other.pth")
    content = torch.load(other, weights_only=True)
    content["state_dict"] = create_tiny_network(seed=7).state_dict()
    torch.save(content, other)
    with pytest.raises(CheckpointError, match="differs"):
        compare_engines(other, tiny_pair[1])


def test_a_card_is_replaced_in_the_file_of_the_same_weights_alone(tiny_pair, tmp_path):
    exported = Path(shutil.copy(tiny_pair[1], tmp_path))
    update_card(save_tiny_checkpoint(tmp_path / "new.pth", version="2.0.0"), exported)
    assert OnnxEngine(exported).card == load_checkpoint(tmp_path / "new.pth").card
    other = tmp_path / "other.pth"
    save_checkpoint(other, create_tiny_network(seed=7).state_dict(), create_card(create_tiny_network(seed=7)))
    with pytest.raises(CheckpointError, match="differs"):
        update_card(other, exported)
    assert OnnxEngine(exported).card.version == "2.0.0"


def test_a_failed_export_leaves_the_old_file(tiny_pair, tmp_path):
    target = tmp_path / "old.onnx"
    target.write_bytes(b"old")
    with pytest.raises(CheckpointError):
        export_onnx(tmp_path / "missing.pth", target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_the_gradient_of_a_convolution_is_autograds(stride, padding, dilation, groups):
    torch.manual_seed(0)
    inputs = torch.randn(2, 6, 13, 11, requires_grad=True)
    weight = torch.randn(12, 6 // groups, 3, 3)
    output = torch.nn.functional.conv2d(inputs, weight, None, stride, padding, dilation, groups)
    upstream = torch.randn_like(output)
    (expected,) = torch.autograd.grad(output, inputs, upstream)
    pair = [stride] * 2, [padding] * 2, [dilation] * 2
    found, _, _ = _convolution_backward(
        upstream, inputs.detach(), weight, None, *pair, False, [0, 0], groups, [True, False, False]
    )
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.fixture(scope="module")
def plain_pair(tiny_pair, tmp_path_factory) -> tuple[Path, Path]:
    """A tiny checkpoint and its plain ONNX file."""
    target = tmp_path_factory.mktemp("plain") / "plain.onnx"
    assert main(["export", "--plain", str(tiny_pair[0]), str(target)]) == 0
    return tiny_pair[0], target


@pytest.mark.parametrize("num_images", [1, 3])
def test_openvino_gives_the_same_from_a_plain_file(plain_pair, num_images):
    core = openvino.Core()
    precise = {"INFERENCE_PRECISION_HINT": "f32"}  # bfloat16 by default, where the processor has it
    run = core.compile_model(core.read_model(plain_pair[1]), "CPU", precise)
    logits, features, maps = run(INPUTS[:num_images]).values()
    reference = TorchEngine(plain_pair[0])
    assert maps.shape[:2] == (num_images, len(CLASSES))
    for target in range(len(CLASSES)):
        expected = reference.explain(INPUTS[:num_images], np.full(num_images, target, np.int64))
        assert np.abs(softmax(expected.logits) - softmax(logits)).max() < 1e-4
        np.testing.assert_allclose(features, expected.features, rtol=1e-3, atol=1e-4)
        assert np.abs(expected.heatmaps - maps[:, target]).max() < 1e-3


def test_openvino_still_does_not_read_the_other_one(tiny_pair):
    """If it does, the plain file is needed no more."""
    with pytest.raises(RuntimeError, match="same number of outputs"):
        openvino.Core().read_model(tiny_pair[1])


def test_a_plain_file_is_valid_carries_the_card_and_is_not_served(plain_pair):
    plain = onnx.load(plain_pair[1])
    onnx.checker.check_model(plain, full_check=True)
    assert [node.name for node in plain.graph.input] == ["inputs"]
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in plain.graph.node}
    assert read_exported_card({each.key: each.value for each in plain.metadata_props})[0].classes == CLASSES
    with pytest.raises(CheckpointError, match="without --plain"):
        OnnxEngine(plain_pair[1])
