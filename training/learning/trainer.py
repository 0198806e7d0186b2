"""One epoch of training, one of validation, and everything that changes in between."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.learning.freezing import freeze_layers
from training.learning.learner import Learner
from training.learning.losses import partial_label_loss
from training.learning.objective import Batch, Objective, autocast
from training.learning.processes import ALONE, Processes, share_statistics
from training.recipe import Recipe, Stage


@dataclass(frozen=True)
class Score:
    """Mean loss over a pass (the objective in training, that of the classes in validation; nats) and accuracy.

    A scan of which several classes are possible is right with any of them; one without a class does not count.
    """

    loss: float
    accuracy: float


class Trainer:
    """A network with its optimiser, its learning-rate schedule and the running average of its weights."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        teachers: Sequence[nn.Module] = (),
        processes: Processes = ALONE,
    ) -> None:
        """Move `network` and `teachers` to `device` and prepare to train all layers by `recipe`."""
        if processes.size > 1 and device.type == "cuda":
            network = share_statistics(network)
        self._processes = processes
        self._network = _place(network, device)
        self._learner = _place(Learner(self._network, recipe, teachers), device)
        self._shared_learner = processes.wrap(self._learner)
        self._half = _half_precision(recipe.cpu_bfloat16 == "always", recipe, device)
        teachers_half = _half_precision(recipe.cpu_bfloat16 != "never", recipe, device)
        self._objective = Objective(recipe, [_place(teacher, device) for teacher in teachers], teachers_half)
        self._average = _create_average(self._network, recipe)
        self._recipe = recipe
        self.device = device
        self._frozen: tuple[nn.Module, ...] = ()
        self._start_schedule(recipe.stages[0])
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half is torch.float16)

    @property
    def network(self) -> nn.Module:
        """The network to validate and to keep: the running average where the recipe has one."""
        return self._network if self._average is None else self._average.module

    @property
    def learning_rate(self) -> float:
        """The rate in use."""
        return float(self._optimizer.param_groups[0]["lr"])

    def enter_stage(self, stage: Stage, *, is_new: bool) -> None:
        """Unfreeze the layers that learn in a stage; a new stage with a schedule of its own starts that.

        A new stage looks for a plateau afresh: losses at another image size cannot be compared.
        """
        if stage.trained_layers is not None or self._frozen:
            self._frozen = freeze_layers(self._network, stage.trained_layers)
            self._shared_learner = self._processes.wrap(self._learner)  # again: it looks once which gradients to share
        if is_new and stage.has_own_schedule:
            self._start_schedule(stage)
        elif is_new:
            self._plateau = self._create_plateau(stage)

    def train(self, batches: Iterable[Batch], epoch: int, num_batches: int) -> Iterator[Score]:
        """Train on the batches of one epoch, counted from 0; yield the running score, last that of all processes."""
        self._learner.train()
        for module in self._frozen:
            module.eval()  # statistics of batches do not enter what is frozen
        tally = _Tally(self.device)
        for step, batch in enumerate(batches):
            if self._recipe.schedule == "cosine":
                for group in self._optimizer.param_groups:
                    group["lr"] = cosine_rate(self._recipe, epoch + step / num_batches)
            batch = self._move(batch)
            with self._autocast():
                loss, logits = self._objective(self._shared_learner, batch)
            self._step(loss)
            tally.add(loss.detach() * len(batch.classes), len(batch.classes), logits.detach(), batch.classes)
            yield tally.score()
        yield tally.score(self._processes)

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch]) -> Score:
        """Score the network on other scans, by the loss of their classes alone, without label smoothing."""
        network = self.network.eval()
        tally = _Tally(self.device)
        for batch in batches:
            batch = self._move(batch)
            with self._autocast():
                logits = network(batch.inputs).float()
            num_known = int(batch.classes.amax(dim=1).sum())
            tally.add(partial_label_loss(logits, batch.classes).sum(), num_known, logits, batch.classes)
        return tally.score(self._processes)

    def end_epoch(self, validation_loss: float) -> None:
        """Update the schedule by the validation loss."""
        if self._recipe.schedule == "reduce_on_plateau":
            self._plateau.step(validation_loss)

    def state(self) -> dict[str, Any]:
        """Collect everything that the next epoch depends on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Return to a state collected by `state`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {
            "learner": self._learner,
            "optimizer": self._optimizer,
            "plateau": self._plateau,
            "scaler": self._scaler,
        }
        return parts if self._average is None else {**parts, "average": self._average}

    def _start_schedule(self, stage: Stage) -> None:
        schedule = self._recipe.schedule_of(stage)
        kind = AdamW if self._recipe.optimizer == "adamw" else Adam
        self._optimizer = kind(_parameter_groups(self._learner, self._recipe), lr=schedule.learning_rate, fused=True)
        self._plateau = self._create_plateau(stage)

    def _create_plateau(self, stage: Stage) -> ReduceLROnPlateau:
        schedule = self._recipe.schedule_of(stage)
        factor, patience = schedule.plateau_factor, schedule.plateau_patience
        return ReduceLROnPlateau(self._optimizer, factor=factor, patience=patience)

    def _step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._recipe.max_gradient_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._learner.parameters(), self._recipe.max_gradient_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average is not None:
            self._average.update_parameters(self._network)

    def _autocast(self) -> AbstractContextManager[None]:
        return autocast(self.device, self._half)

    def _move(self, batch: Batch) -> Batch:
        inputs = batch.inputs.to(self.device, non_blocking=True, memory_format=torch.channels_last)
        rest = (batch.classes, batch.kinds, batch.locations)
        others = (tensor.to(self.device, non_blocking=True) for tensor in rest)
        return Batch(inputs, *others)


def cosine_rate(recipe: Recipe, position: float) -> float:
    """Compute the learning rate after `position` epochs, fractions included: linear warm-up, then half a cosine to 0.

    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    if position < recipe.warmup_epochs:
        return recipe.learning_rate * max(position / recipe.warmup_epochs, 1e-3)
    progress = (position - recipe.warmup_epochs) / max(recipe.num_epochs - recipe.warmup_epochs, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _place(module: nn.Module, device: torch.device) -> nn.Module:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _create_average(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """Keep the exponential average of weights and statistics: Polyak and Juditsky, 1992; Tan and Le, 2019."""
    if not recipe.average_decay:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _parameter_groups(learner: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Let kernels decay, but neither biases nor scales of normalisation."""
    parameters = list(learner.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _half_precision(on_cpu: bool, recipe: Recipe, device: torch.device) -> torch.dtype | None:
    if device.type == "cpu":
        return torch.bfloat16 if on_cpu and torch.cpu.get_capabilities().get("avx512_bf16") else None
    if not recipe.mixed_precision:
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


class _Tally:
    """Sums over the batches seen so far: loss, images it counts, correct images, images with a class."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, loss_sum: Tensor, num_images: int, logits: Tensor, classes: Tensor) -> None:
        correct = classes.gather(1, logits.argmax(dim=1, keepdim=True)).sum()
        num_known = classes.amax(dim=1).sum()
        self._sums += torch.stack([loss_sum, torch.full_like(loss_sum, num_images), correct, num_known]).double()

    def score(self, processes: Processes = ALONE) -> Score:
        loss, num_images, num_correct, num_known = processes.sum(self._sums.clone()).tolist()
        return Score(loss / max(num_images, 1.0), num_correct / max(num_known, 1.0))
