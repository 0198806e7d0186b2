"""The loss that training minimises: labels, a teacher's outputs, and the tumour's location.

(1 - d) cross-entropy + d distillation + f feature distance + l location loss
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from model.drawing.heatmap import spline_weights
from model.networks.network import find_layer
from training.recipe import Recipe

LOCATION_GRID = 28  # cells a side on which maps and boxes are compared
_PROBE_SIZE = 64  # pixels; enough for every network that halves five times
_SHARPNESS = 2.0  # of the distribution over cells that a standardised map is turned into


@dataclass(frozen=True)
class Batch:
    """Scans that are learnt from at once.

    Attributes:
        inputs: (N, 3, S, S).
        labels: (N,).
        locations: (N, 28, 28), the part of each cell inside the tumour's box; zeros where no box is known.
    """

    inputs: Tensor
    labels: Tensor
    locations: Tensor


class Learner(nn.Module):
    """A network with projections into the teachers' feature spaces, which only training needs.

    Everything that has weights is computed in `forward`, once, as distributed training demands.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, teachers: Sequence[nn.Module]) -> None:
        """Wrap `network`; there are projections only if the recipe weighs features."""
        super().__init__()
        self.network = network
        self._locates = recipe.location_weight > 0
        self._layers = recipe.feature_layers
        compared = teachers if recipe.feature_weight else ()
        self.projections = nn.ModuleList(
            create_projection(ours, theirs)
            for teacher in compared
            for ours, theirs in zip(_widths(network, self._layers), _widths(teacher, self._layers), strict=True)
        )

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Compute logits (N, K), the labels' maps (N, h, w), and the features projected for each teacher.

        The latter are, teacher by teacher, the outputs of the recipe's `feature_layers` and the last activation.
        """
        if not self._locates and not self.projections:
            return self.network(inputs), inputs.new_zeros(0), []
        features = compute_features(self.network, inputs, self._layers if self.projections else ())
        logits = self.network.forward_head(features[-1])  # type: ignore[operator]  # timm's
        maps = class_activation_maps(self.network, features[-1], labels) if self._locates else inputs.new_zeros(0)
        projected = [project(features[index % len(features)]) for index, project in enumerate(self.projections)]
        return logits, maps, projected


class Objective:
    """The sum of losses that a recipe describes."""

    def __init__(self, recipe: Recipe, teachers: Sequence[nn.Module], half: torch.dtype | None = None) -> None:
        """Compare with frozen `teachers`, which compute in `half` if not in float32."""
        self._recipe = recipe
        self._teachers = teachers
        self._half = half

    def __call__(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the loss, a scalar, and the logits (N, K)."""
        recipe = self._recipe
        logits, maps, projected = learner(batch.inputs, batch.labels)
        logits = logits.float()
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=recipe.label_smoothing)
        if self._teachers:
            opinions, features = self._ask(batch.inputs)
            distilled = distillation_loss(logits, opinions, recipe.distillation_temperature)
            loss = (1 - recipe.distillation_weight) * loss + recipe.distillation_weight * distilled
            for ours, theirs in zip(projected, features, strict=False):
                loss = loss + recipe.feature_weight / len(projected) * feature_distance(ours, theirs)
        if recipe.location_weight:
            loss = loss + recipe.location_weight * location_loss(maps, batch.locations)
        return loss, logits

    @torch.no_grad()
    def _ask(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        layers = self._recipe.feature_layers if self._recipe.feature_weight else ()
        with autocast(inputs.device, self._half):
            features = [compute_features(teacher, inputs, layers) for teacher in self._teachers]
            pairs = zip(self._teachers, features, strict=True)
            logits = [teacher.forward_head(values[-1]).float() for teacher, values in pairs]  # type: ignore[operator]
        return logits, [values for each in features for values in each]


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


def autocast(device: torch.device, half: torch.dtype | None) -> AbstractContextManager[None]:
    """Compute in half precision where it is safe, or everything in float32 where `half` is None."""
    return torch.autocast(device.type, half, enabled=half is not None)


def distillation_loss(logits: Tensor, opinions: Sequence[Tensor], temperature: float) -> Tensor:
    """Compute T^2 KL(mean of the teachers' softmax(z / T) || softmax(z / T)), mean over images.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. Teacher and
    student see the same augmented image: Beyer et al., "Knowledge distillation: A good teacher is patient
    and consistent", CVPR 2022.

    Args:
        logits: (N, K), the student's.
        opinions: The logits (N, K) of each teacher.
    """
    expected = torch.stack([functional.softmax(opinion / temperature, dim=1) for opinion in opinions]).mean(dim=0)
    found = functional.log_softmax(logits / temperature, dim=1)
    return temperature**2 * functional.kl_div(found, expected, reduction="batchmean")


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Compute 1 - cosine similarity of feature vectors (N, C, h, w), mean over images and positions.

    A learnt projection brings the student's features into the teacher's space: Romero et al., "FitNets",
    ICLR 2015.
    """
    if ours.shape[2:] != theirs.shape[2:]:
        theirs = functional.adaptive_avg_pool2d(theirs, (ours.shape[2], ours.shape[3]))
    return (1 - functional.cosine_similarity(ours.float(), theirs.float(), dim=1)).mean()


def class_activation_maps(network: nn.Module, features: Tensor, labels: Tensor) -> Tensor:
    """Weigh the last activation (N, C, h, w) by the classifier's row of each image's label; (N, h, w).

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2.
    """
    weights = network.get_classifier().weight[labels]  # type: ignore[operator]
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("nchw,nc->nhw", features.float(), weights.float())


def location_loss(maps: Tensor, locations: Tensor) -> Tensor:
    """Compute -log of the part of a map that lies in the tumour's box.

    Each map is enlarged as it is when served, standardised, and turned into a distribution over cells by a softmax: the
    loss depends on where the evidence is and not on how much there is.

    Args:
        maps: (N, h, w), any sign.
        locations: (N, 28, 28); images without a box count as 0.

    Returns:
        The sum over images with a box divided by N, so that equal shares of a batch average to the whole.
    """
    known = locations.flatten(1).amax(dim=1) > 0
    rows, columns = (torch.from_numpy(spline_weights(LOCATION_GRID, cells)).to(maps) for cells in maps.shape[1:])
    values = (rows @ maps @ columns.T).flatten(1)
    values = (values - values.mean(dim=1, keepdim=True)) / (values.std(dim=1, keepdim=True) + 1e-6)
    log_shares = functional.log_softmax(_SHARPNESS * values, dim=1)
    inside = torch.logsumexp(log_shares + torch.log(locations.flatten(1) + 1e-9), dim=1)
    return -torch.where(known, inside, torch.zeros_like(inside)).mean()


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


def _widths(network: nn.Module, layers: Sequence[str]) -> list[int]:
    """Find the channels of each output of `compute_features`."""
    device = next(network.parameters()).device
    was_training = network.training
    with torch.no_grad():
        features = compute_features(network.eval(), torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE, device=device), layers)
    network.train(was_training)
    return [values.shape[1] for values in features]
