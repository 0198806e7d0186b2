"""Export of a checkpoint to one ONNX file, whose heatmaps need neither torch nor hooks.

    inputs  (N, 3, S, S) float32 ----> network ----> logits (N, K), features (N, D)
    targets (N,) int64, -1: largest --+    |
    explain () bool ------------------+-> If -> heatmaps (N, h, w), or (0, 0, 0) unless explained

`Explainer.forward` is traced with Grad-CAM's gradient: the vector-Jacobian product of the tail becomes ordinary
operators. Nodes that only the map needs are put under an `If`; see `model.checkpoints.explain_branch`.

A plain file is for runtimes that read no `If` with outputs of two shapes, such as OpenVINO:

    inputs  (N, 3, S, S) float32 ----> network ----> logits (N, K), features (N, D), heatmaps (N, K, h, w)
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import ModelProto
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from model.card import ModelCard
from model.checkpoints.checkpoint import Checkpoint, load_checkpoint
from model.checkpoints.explain_branch import explain_on_request
from model.checkpoints.exported_card import CARD_KEY, OUTPUTS, SHA256_KEY
from model.engines.engine import PREDICTED, Explanation, IndexArray
from model.engines.onnx_engine import OnnxEngine
from model.engines.torch_engine import TorchEngine
from model.errors import CheckpointError
from model.host.atomic_file import replace_file
from model.images.decoded import FloatArray
from model.networks.features import Explainer
from model.preprocessing import preprocess_image, self_test_image
from model.reliability.probabilities import softmax

OPSET = 20
MAX_PROBABILITY_DIFFERENCE = 1e-4
MAX_HEATMAP_DIFFERENCE = 1e-3
MAX_FEATURE_DIFFERENCE = 1e-3  # of the largest feature


def export_onnx(source: Path, target: Path, *, plain: bool = False) -> None:
    """Write the ONNX file of a checkpoint, if it agrees with it as `compare_engines` has it.

    Args:
        plain: Whether it is for other runtimes than ours.

    Raises:
        CheckpointError: If `source` cannot be loaded or the two files differ; `target` is then left as it was.
    """
    checkpoint = load_checkpoint(source)
    exported = trace(checkpoint, plain=plain)
    _write(exported if plain else explain_on_request(exported), checkpoint, source, target)


def update_card(source: Path, exported: Path) -> None:
    """Give an ONNX file the card that its checkpoint has now, if it passes `compare_engines`.

    Raises:
        CheckpointError: If the weights are not those it was exported from; `exported` is then left as it was.
    """
    _write(onnx.load(exported), load_checkpoint(source), source, exported)


def _write(exported: ModelProto, checkpoint: Checkpoint, source: Path, target: Path) -> None:
    metadata = {CARD_KEY: checkpoint.card.model_dump_json(), SHA256_KEY: checkpoint.sha256}
    onnx.helper.set_model_props(exported, metadata)
    onnx.checker.check_model(exported)
    with replace_file(target) as draft:
        onnx.save(exported, draft)
        is_plain = len(exported.graph.input) == 1
        _compare(TorchEngine(source), _PlainGraph(draft) if is_plain else OnnxEngine(draft))


def trace(checkpoint: Checkpoint, *, plain: bool = False) -> ModelProto:
    """Trace logits, features and maps into a graph of any batch size, with the card's layer explained.

    Args:
        plain: Whether it draws the maps of all classes instead of one of each image.
    """
    explainer = Explainer(checkpoint.network, checkpoint.card.gradcam_layer)
    size = checkpoint.card.preprocessing.input_size
    # Two images: the tracer would take a batch of one for a constant.
    example = (torch.zeros(2, 3, size, size), torch.tensor([-1, 0]))[: 1 if plain else 2]
    tracer = make_fx(
        explainer, decomposition_table=_decompositions(), tracing_mode="symbolic", _allow_non_fake_inputs=True
    )
    graph = tracer(*example)
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(graph, example, dynamic_shapes=({0: batch},) * len(example))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # torch's exporter, about its own code
        exported = torch.onnx.export(
            program,
            input_names=["inputs", "targets"][: len(example)],
            output_names=OUTPUTS,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if exported is None:
        raise CheckpointError("torch exported no ONNX program")
    return exported.model_proto


def compare_engines(checkpoint: Path, exported: Path) -> None:
    """Compare an ONNX file with the checkpoint it was made from.

    Raises:
        CheckpointError: If probabilities, features or heatmaps differ by more than the contract allows.
    """
    _compare(TorchEngine(checkpoint), OnnxEngine(exported))


class _PlainGraph:
    """A plain file in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        self._session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        logits, features, maps = self._session.run(OUTPUTS, {"inputs": inputs})
        explained = np.where(targets == PREDICTED, logits.argmax(axis=1), targets)
        return Explanation(logits, features, maps[np.arange(len(inputs)), explained])


def _compare(reference: TorchEngine, candidate: OnnxEngine | _PlainGraph) -> None:
    inputs = _parity_inputs(reference.card)
    for class_index in (-1, *range(len(reference.card.classes))):
        targets = np.full(len(inputs), class_index, np.int64)
        expected, found = reference.explain(inputs, targets), candidate.explain(inputs, targets)
        pairs = (
            (softmax(expected.logits), softmax(found.logits), MAX_PROBABILITY_DIFFERENCE),
            (expected.features, found.features, MAX_FEATURE_DIFFERENCE * float(np.abs(expected.features).max())),
            (expected.heatmaps, found.heatmaps, MAX_HEATMAP_DIFFERENCE),
        )
        for ours, theirs, limit in pairs:
            difference = float(np.abs(ours - theirs).max())
            if not difference <= limit:
                raise CheckpointError(
                    f"the exported file differs from its checkpoint by {difference:.2g}; at most {limit:.2g} is allowed"
                )


def _parity_inputs(card: ModelCard) -> FloatArray:
    size = card.preprocessing.input_size
    phantom = self_test_image(size)
    noise = np.random.default_rng(0).integers(0, 256, phantom.shape, np.uint8)
    pictures = (phantom, phantom[::-1, ::-1].copy(), phantom // 2 + noise // 4)
    return np.concatenate([preprocess_image(picture, card.preprocessing) for picture in pictures])


def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Map operators to decompositions; ONNX has none for the derivative of a convolution."""
    aten = torch.ops.aten
    return {**core_aten_decompositions(), aten.convolution_backward.default: _convolution_backward}


def _convolution_backward(
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    _bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor, None, None]:
    """Compute d/d(inputs) of a convolution, as a transposed convolution with the same weight.

    At stride 1 that is a plain convolution with the kernel turned by 180 degrees and its channels swapped
    (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 4), which
    inference engines run much faster.
    """
    if transposed or output_mask[1] or output_mask[2]:
        raise NotImplementedError("only the input's gradient of a forward convolution is needed for Grad-CAM")
    convolve = torch.ops.aten.convolution
    num_dimensions = weight.dim() - 2
    axes = range(num_dimensions)
    if all(step == 1 for step in stride):
        num_out, num_in, *kernel = weight.shape
        turned = weight.reshape(groups, num_out // groups, num_in, *kernel).transpose(1, 2)
        turned = turned.reshape(groups * num_in, num_out // groups, *kernel).flip(tuple(range(2, weight.dim())))
        margin = [dilation[axis] * (kernel[axis] - 1) - padding[axis] for axis in axes]
        no_padding = [0] * num_dimensions
        return convolve(gradient, turned, None, stride, margin, dilation, False, no_padding, groups), None, None
    missing = [
        inputs.shape[2 + axis]
        - ((gradient.shape[2 + axis] - 1) * stride[axis] - 2 * padding[axis])
        - (dilation[axis] * (weight.shape[2 + axis] - 1) + 1)
        for axis in axes
    ]
    return convolve(gradient, weight, None, stride, padding, dilation, True, missing, groups), None, None
