"""The loss that training minimises: labels, the kind of picture, a teacher's outputs, and the tumour's location.

(1 - d) partial-label loss + d distillation + k partial-label loss of kinds + f feature distance + l location loss
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.learning.depthwise import FloatDepthwiseGradients
from training.learning.learner import compute_features
from training.learning.losses import distillation_loss, feature_distance, location_loss, partial_label_loss
from training.recipe import Recipe


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


@contextmanager
def autocast(device: torch.device, half: torch.dtype | None) -> Iterator[None]:
    """Compute in half precision where it is safe, or everything in float32 where `half` is None."""
    depthwise = FloatDepthwiseGradients() if half is not None and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, half, enabled=half is not None), depthwise:
        yield
