"""Whether heat maps depend on the weights: a map that survives random weights shows edges, not reasons."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from training.localization.class_maps import Method, compute_class_maps


@dataclass(frozen=True)
class RandomizedStep:
    """Similarity of the maps when a module and all above it are random.

    Attributes:
        module: The lowest module randomised so far.
        rank_correlation: By layer: Spearman's, of Grad-CAM maps with those of the trained network, mean over images. 1
            is the same order of cells; a map that has become flat counts 0.
    """

    module: str
    rank_correlation: dict[str, float]


def randomize_cascading(
    network: nn.Module, layers: Sequence[str], inputs: Tensor, targets: Tensor, seed: int = 0
) -> tuple[RandomizedStep, ...]:
    """Randomise a network from the classifier down and compare its Grad-CAM maps after every step.

    The cascading test of Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3.1. Weights are
    drawn from the normal distribution of their tensor's own mean and spread, so that activations keep their scale.

    Args:
        inputs: Normalised images, (N, 3, H, W).
        targets: (N,), the class to explain of each image.
    """
    trained = _grad_cam(network, layers, inputs, targets)
    randomized = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    steps = []
    for name, module in _modules_from_the_top(randomized):
        _randomize(module, generator)
        found = _grad_cam(randomized, layers, inputs, targets)
        steps.append(RandomizedStep(name, {layer: rank_correlation(trained[layer], found[layer]) for layer in layers}))
    return tuple(steps)


def rank_correlation(maps: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> float:
    """Compute Spearman's rank correlation of maps (N, h, w) with others, mean over N; flat ones count 0."""
    ranks = [rankdata(each.reshape(len(each), -1), axis=1) for each in (maps, others)]
    x, y = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    norms = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return float(np.divide((x * y).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0).mean())


def _grad_cam(
    network: nn.Module, layers: Sequence[str], inputs: Tensor, targets: Tensor
) -> dict[str, npt.NDArray[np.float32]]:
    maps = compute_class_maps(network, layers, inputs, targets).maps
    return {layer: maps[layer, Method.GRAD_CAM].numpy() for layer in layers}


def _modules_from_the_top(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Go through a network's modules, and the members of its sequences, in reverse order of their registration."""
    for name, module in reversed(list(network.named_children())):
        members = list(module.named_children()) if isinstance(module, nn.Sequential | nn.ModuleList) else []
        parts = [(f"{name}.{part}", member) for part, member in reversed(members)] or [(name, module)]
        yield from ((path, part) for path, part in parts if any(True for _ in part.parameters()))


@torch.no_grad()
def _randomize(module: nn.Module, generator: torch.Generator) -> None:
    for weights in module.parameters():
        noise = torch.randn(weights.shape, generator=generator)
        weights.copy_(weights.mean() + weights.std(correction=0) * noise)
