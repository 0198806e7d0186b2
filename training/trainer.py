"""One epoch of training, one of validation, and everything that changes in between."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from training.recipe import Recipe

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats, and accuracy, over a pass through the data."""

    loss: float
    accuracy: float


class Trainer:
    """A network with its optimiser and learning-rate schedule."""

    def __init__(self, network: nn.Module, recipe: Recipe, device: torch.device) -> None:
        """Move `network` to `device` and prepare to train it by `recipe`."""
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._recipe = recipe
        self._device = device
        self._optimizer = AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self._plateau = ReduceLROnPlateau(
            self._optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience
        )
        self._mixed_precision = recipe.mixed_precision and device.type == "cuda"
        self._half = torch.bfloat16 if self._mixed_precision and torch.cuda.is_bf16_supported() else torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._mixed_precision and self._half is torch.float16)

    @property
    def learning_rate(self) -> float:
        """The rate in use."""
        return float(self._optimizer.param_groups[0]["lr"])

    def train(self, batches: Iterable[Batch], epoch: int, num_batches: int) -> Iterator[Score]:
        """Train on the batches of one epoch, counted from 0; yields the running score after each batch."""
        self.network.train()
        tally = _Tally()
        for step, (inputs, labels) in enumerate(batches):
            if self._recipe.schedule == "cosine":
                self._set_learning_rate(cosine_rate(self._recipe, epoch + step / num_batches))
            inputs, labels = self._move(inputs), labels.to(self._device, non_blocking=True)
            self._optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self._device.type, self._half, enabled=self._mixed_precision):
                logits = self.network(inputs)
                loss = functional.cross_entropy(logits, labels, label_smoothing=self._recipe.label_smoothing)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self._optimizer)
            self._scaler.update()
            tally.add(loss.detach() * len(labels), logits.detach(), labels)
            yield tally.score

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch]) -> Score:
        """Score the network on other data, in full precision and without label smoothing."""
        self.network.eval()
        tally = _Tally()
        for inputs, labels in batches:
            logits, labels = self.network(self._move(inputs)), labels.to(self._device)
            tally.add(functional.cross_entropy(logits, labels, reduction="sum"), logits, labels)
        return tally.score

    def end_epoch(self, validation_loss: float) -> None:
        """Let the schedule see the validation loss."""
        if self._recipe.schedule == "reduce_on_plateau":
            self._plateau.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """Collect all that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "plateau": self._plateau.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state collected by `state`."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._plateau.load_state_dict(state["plateau"])
        self._scaler.load_state_dict(state["scaler"])

    def _move(self, inputs: Tensor) -> Tensor:
        return inputs.to(self._device, non_blocking=True, memory_format=torch.channels_last)

    def _set_learning_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate


def cosine_rate(recipe: Recipe, position: float) -> float:
    """Compute the learning rate at a position in the run: linear warm-up, then half a cosine to 0.

    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.

    Args:
        position: Epochs done, fractions included.
    """
    if position < recipe.warmup_epochs:
        return recipe.learning_rate * max(position / recipe.warmup_epochs, 1e-3)
    progress = (position - recipe.warmup_epochs) / max(recipe.num_epochs - recipe.warmup_epochs, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class _Tally:
    """Sums over the batches seen so far."""

    def __init__(self) -> None:
        self._loss = self._num_correct = 0.0
        self._num_images = 0

    def add(self, loss_sum: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += float(loss_sum)
        self._num_correct += int((logits.argmax(dim=1) == labels).sum())
        self._num_images += len(labels)

    @property
    def score(self) -> Score:
        return Score(self._loss / self._num_images, self._num_correct / self._num_images)
