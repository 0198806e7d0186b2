"""A network as it learns: with the heads and projections that only training needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.kinds import KINDS
from model.networks.network import find_layer
from training.recipe import Recipe

_PROBE_SIZE = 64  # pixels; enough for every network that halves five times


class LearnerOutputs(NamedTuple):
    """Outputs of a learner; None where the recipe does not weigh them.

    Attributes:
        logits: (N, K).
        kinds: Logits (N, 3) of `model.kinds.KINDS`.
        maps: Of the possible classes, (N, h, w).
        projected: Features projected for each teacher: the outputs of the recipe's `feature_layers`, then the last
            activation.
    """

    logits: Tensor
    kinds: Tensor | None = None
    maps: Tensor | None = None
    projected: Sequence[Tensor] = ()


class Learner(nn.Module):
    """A network with projections into the teachers' feature spaces, which only training needs.

    Everything that has weights is computed in `forward`, once, as distributed training demands.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, teachers: Sequence[nn.Module]) -> None:
        """Wrap `network`; there are projections only if the recipe weighs features."""
        super().__init__()
        self.network = network
        self._locates = recipe.location_weight > 0
        width = _widths(network)[0] if recipe.kind_weight else 0
        self.kinds = nn.Linear(width, len(KINDS)) if width else None
        self._layers = recipe.feature_layers
        compared = teachers if recipe.feature_weight else ()
        self.projections = nn.ModuleList(
            create_projection(ours, theirs)
            for teacher in compared
            for ours, theirs in zip(_widths(network, self._layers), _widths(teacher, self._layers), strict=True)
        )

    def forward(self, inputs: Tensor, classes: Tensor) -> LearnerOutputs:
        """Compute everything that the objective compares, of inputs (N, 3, S, S) and `Batch.classes` (N, K)."""
        if not self._locates and not self.projections and self.kinds is None:
            return LearnerOutputs(self.network(inputs))
        features = compute_features(self.network, inputs, self._layers if self.projections else ())
        return LearnerOutputs(
            logits=self.network.forward_head(features[-1]),  # type: ignore[operator]  # timm's
            kinds=None if self.kinds is None else self.kinds(features[-1].mean(dim=(2, 3))),
            maps=class_activation_maps(self.network, features[-1], classes) if self._locates else None,
            projected=[project(features[index % len(features)]) for index, project in enumerate(self.projections)],
        )


def compute_features(network: nn.Module, inputs: Tensor, layers: Sequence[str] = ()) -> list[Tensor]:
    """Compute the outputs of layers, named by their paths, and last the input of the pooling before the classifier."""
    outputs: dict[str, Tensor] = {}
    with _listening(network, layers, outputs):
        last = network.forward_features(inputs)  # type: ignore[operator]  # timm's
    return [*(outputs[layer] for layer in layers), last]


def create_projection(width: int, target_width: int) -> nn.Conv2d:
    """Create a 1 x 1 convolution between feature spaces; where they are equally wide it starts as the identity.

    Layers copied from the teacher expect its features channel by channel.
    """
    projection = nn.Conv2d(width, target_width, 1)
    if width == target_width:
        nn.init.dirac_(projection.weight)
        nn.init.zeros_(projection.bias)  # type: ignore[arg-type]  # it has one
    return projection


def class_activation_maps(network: nn.Module, features: Tensor, classes: Tensor) -> Tensor:
    """Weigh the last activation (N, C, h, w) by the classifier's mean row of each image's possible classes; (N, h, w).

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2.
    """
    shares = classes / classes.sum(dim=1, keepdim=True).clamp_min(1)
    with torch.autocast(features.device.type, enabled=False):
        weights = shares.float() @ network.get_classifier().weight.float()  # type: ignore[operator]
        return torch.einsum("nchw,nc->nhw", features.float(), weights)


@contextmanager
def _listening(network: nn.Module, layers: Sequence[str], outputs: dict[str, Tensor]) -> Iterator[None]:
    """Record outputs of layers meanwhile. No hook stays: copies of the network must not inherit it."""

    def listen(layer: str) -> RemovableHandle:
        return find_layer(network, layer).register_forward_hook(
            lambda _module, _inputs, output: outputs.__setitem__(layer, output)
        )

    handles = [listen(layer) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _widths(network: nn.Module, layers: Sequence[str] = ()) -> list[int]:
    """Find the channels of each output of `compute_features`."""
    device = next(network.parameters()).device
    was_training = network.training
    with torch.no_grad():
        features = compute_features(network.eval(), torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE, device=device), layers)
    network.train(was_training)
    return [values.shape[1] for values in features]
