"""The loss that training minimises: labels, the kind of picture, a teacher's outputs, and the tumour's location.

(1 - d) partial-label loss + d distillation + k partial-label loss of kinds + f feature distance + l location loss
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from model.drawing.heatmap import spline_weights
from model.kinds import KINDS
from model.networks.network import find_layer
from training.learning.depthwise import FloatDepthwiseGradients
from training.recipe import Recipe

LOCATION_GRID = 28  # cells a side on which maps and boxes are compared
_PROBE_SIZE = 64  # pixels; enough for every network that halves five times
_SHARPNESS = 2.0  # of the distribution over cells that a standardised map is turned into


@dataclass(frozen=True)
class Batch:
    """Scans that are learnt from at once.

    Attributes:
        inputs: (N, 3, S, S).
        classes: (N, K), 1 for each class that the scan may be of: a single one where the class is known, none where
            nothing is.
        kinds: (N, 3), likewise of `model.kinds.KINDS`.
        locations: (N, 28, 28), the part of each cell inside the tumour's box; zeros where no box is known.
    """

    inputs: Tensor
    classes: Tensor
    kinds: Tensor
    locations: Tensor


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

    def forward(self, inputs: Tensor, classes: Tensor) -> "LearnerOutputs":
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
        outputs = learner(batch.inputs, batch.classes)
        logits = outputs.logits.float()
        loss = partial_label_loss(logits, batch.classes, recipe.label_smoothing).mean()
        if self._teachers:
            opinions, features = self._ask(batch.inputs)
            distilled = distillation_loss(logits, opinions, recipe.distillation_temperature, batch.classes)
            loss = (1 - recipe.distillation_weight) * loss + recipe.distillation_weight * distilled
            for ours, theirs in zip(outputs.projected, features, strict=False):
                loss = loss + recipe.feature_weight / len(outputs.projected) * feature_distance(ours, theirs)
        if outputs.kinds is not None:
            loss = loss + recipe.kind_weight * partial_label_loss(outputs.kinds.float(), batch.kinds).mean()
        if outputs.maps is not None:
            loss = loss + recipe.location_weight * location_loss(outputs.maps, batch.locations)
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


@contextmanager
def autocast(device: torch.device, half: torch.dtype | None) -> Iterator[None]:
    """Compute in half precision where it is safe, or everything in float32 where `half` is None."""
    depthwise = FloatDepthwiseGradients() if half is not None and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, half, enabled=half is not None), depthwise:
        yield


def partial_label_loss(logits: Tensor, possible: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute -log of the summed probability of the possible labels; cross-entropy where there is one.

    Cour, Sapp and Taskar, "Learning from Partial Labels", JMLR 2011. Smoothing mixes in the cross-entropy with equal
    probabilities (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7).

    Args:
        logits: (N, K).
        possible: (N, K) of 0 and 1.

    Returns:
        (N,), nats; 0 where no label is marked, which says nothing.
    """
    log_probabilities = functional.log_softmax(logits, dim=1)
    impossible = possible == 0
    loss = -torch.logsumexp(log_probabilities.masked_fill(impossible, -torch.inf), dim=1)
    loss = (1 - smoothing) * loss - smoothing * log_probabilities.mean(dim=1)
    return loss.masked_fill(impossible.all(dim=1), 0.0)


def distillation_loss(
    logits: Tensor, opinions: Sequence[Tensor], temperature: float, classes: Tensor | None = None
) -> Tensor:
    """Compute T^2 KL(mean of the teachers' softmax(z / T) || softmax(z / T)), mean over images.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. Teacher and
    student see the same augmented image: Beyer et al., "Knowledge distillation: A good teacher is patient
    and consistent", CVPR 2022.

    Args:
        logits: (N, K), the student's.
        opinions: The logits (N, K) of each teacher.
        classes: `Batch.classes`; images of which no class is possible count as 0. By default all count.
    """
    expected = torch.stack([functional.softmax(opinion / temperature, dim=1) for opinion in opinions]).mean(dim=0)
    found = functional.log_softmax(logits / temperature, dim=1)
    divergence = functional.kl_div(found, expected, reduction="none").sum(dim=1)
    return temperature**2 * (divergence if classes is None else divergence * classes.amax(dim=1)).mean()


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Compute 1 - cosine similarity of feature vectors (N, C, h, w), mean over images and positions.

    A learnt projection brings the student's features into the teacher's space: Romero et al., "FitNets",
    ICLR 2015.
    """
    if ours.shape[2:] != theirs.shape[2:]:
        theirs = functional.adaptive_avg_pool2d(theirs, (ours.shape[2], ours.shape[3]))
    return (1 - functional.cosine_similarity(ours.float(), theirs.float(), dim=1)).mean()


def class_activation_maps(network: nn.Module, features: Tensor, classes: Tensor) -> Tensor:
    """Weigh the last activation (N, C, h, w) by the classifier's mean row of each image's possible classes; (N, h, w).

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2.
    """
    shares = classes / classes.sum(dim=1, keepdim=True).clamp_min(1)
    with torch.autocast(features.device.type, enabled=False):
        weights = shares.float() @ network.get_classifier().weight.float()  # type: ignore[operator]
        return torch.einsum("nchw,nc->nhw", features.float(), weights)


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
    rows, columns = (torch.tensor(spline_weights(LOCATION_GRID, cells)).to(maps) for cells in maps.shape[1:])
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


def _widths(network: nn.Module, layers: Sequence[str] = ()) -> list[int]:
    """Find the channels of each output of `compute_features`."""
    device = next(network.parameters()).device
    was_training = network.training
    with torch.no_grad():
        features = compute_features(network.eval(), torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE, device=device), layers)
    network.train(was_training)
    return [values.shape[1] for values in features]
