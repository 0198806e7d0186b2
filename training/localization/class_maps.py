"""Class-activation maps of many layers by several methods, from one pass through the network.

A reference for heat maps; `model.networks.gradcam` makes the served ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from model.errors import CheckpointError
from model.networks.gradcam import scale_maps
from model.networks.network import find_layer


class Method(StrEnum):
    """Ways to turn channels A_k of a layer and the gradients G_k of a logit with respect to them into a map."""

    GRAD_CAM = "grad_cam"
    """ReLU(sum_k mean(G_k) A_k): Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2."""
    HIRES_CAM = "hires_cam"
    """ReLU(sum_k G_k A_k): Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020, equation 4."""
    LAYER_CAM = "layer_cam"
    """ReLU(sum_k ReLU(G_k) A_k): Jiang et al., "LayerCAM", IEEE Trans. Image Processing 2021, equations 5 to 7."""


@dataclass(frozen=True)
class ClassMaps:
    """Logits (N, K), and for each layer and method the maps (N, h, w) in [0, 1]; a flat map is 0."""

    logits: Tensor
    maps: dict[tuple[str, Method], Tensor]


def compute_class_maps(network: nn.Module, layers: Sequence[str], inputs: Tensor, targets: Tensor) -> ClassMaps:
    """Compute maps of several layers for one class of each image.

    Args:
        network: In evaluation mode; it is left as it is.
        layers: Paths of modules whose output is (N, C, h, w).
        inputs: Normalised images, (N, 3, H, W).
        targets: (N,) int64, the logit to explain of each image.

    Raises:
        CheckpointError: If the network has no such layer, or one that has no output of that shape.
    """
    with torch.enable_grad(), _tap(network, layers) as taps:
        logits = network(inputs)
        evidence = logits.gather(1, targets[:, None]).sum()
    for layer in layers:
        if layer not in taps or taps[layer].ndim != 4:
            raise CheckpointError(f"expected a layer that puts out channels of maps, (N, C, h, w); found {layer!r}")
    gradients = torch.autograd.grad(evidence, [taps[layer] for layer in layers])
    maps = {
        (layer, method): scale_maps(torch.relu((weigh(gradient) * taps[layer].detach()).sum(dim=1)))
        for layer, gradient in zip(layers, gradients, strict=True)
        for method, weigh in _WEIGHTS.items()
    }
    return ClassMaps(logits.detach(), maps)


_WEIGHTS: dict[Method, Callable[[Tensor], Tensor]] = {
    Method.GRAD_CAM: lambda gradient: gradient.mean(dim=(2, 3), keepdim=True),
    Method.HIRES_CAM: lambda gradient: gradient,
    Method.LAYER_CAM: torch.relu,
}


@contextmanager
def _tap(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect what the layers put out while the context is open."""
    taps: dict[str, Tensor] = {}

    def record(layer: str, output: Tensor) -> Tensor:
        # Of a frozen network the first layer has no history: its output becomes the leaf that all gradients reach.
        taps[layer] = output if output.requires_grad else output.detach().requires_grad_()
        return taps[layer].clone()  # what follows may work in place

    modules = [(layer, find_layer(network, layer)) for layer in layers]
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, layer=layer: record(layer, output))
        for layer, module in modules
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()
