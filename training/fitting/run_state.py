"""The state of a run after each whole epoch, from which a killed run continues."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoints.checkpoint import read_tensors, save_atomically
from model.errors import CheckpointError
from training.errors import RunError
from training.recipe import Recipe
from training.run import EpochResult

_FORMAT = "brain-tumor-mri-run/3"


@dataclass(frozen=True)
class RunState:
    """Everything that the next epoch depends on.

    Attributes:
        trainer: Network, optimiser, schedule and loss scaling, as `Trainer.state` returns them.
        best_weights: The network of `best_epoch`; see `training.fitting.progress.find_best_epoch`.
        history: One result a finished epoch.
        sources: SHA-256 of the files, other than scans, that the weights learn from.
    """

    trainer: dict[str, Any]
    best_weights: dict[str, Tensor]
    best_epoch: int
    history: tuple[EpochResult, ...]
    sources: dict[str, str]


def save_state(path: Path, state: RunState, recipe: Recipe, manifest_sha256: str) -> None:
    """Write the state whole or not at all."""
    content = {
        "format": _FORMAT,
        "recipe": recipe.model_dump(mode="json"),
        "manifest_sha256": manifest_sha256,
        "trainer": state.trainer,
        "best_weights": state.best_weights,
        "best_epoch": state.best_epoch,
        "history": [asdict(result) for result in state.history],
        "sources": state.sources,
    }
    save_atomically(path, content)


def load_state(path: Path, recipe: Recipe, manifest_sha256: str) -> RunState:
    """Read the state of a run of the same recipe on the same data.

    Raises:
        RunError: If there is none, it is damaged, or recipe or data have changed.
    """
    if not path.exists():
        raise RunError(f"nothing to resume: there is no {path}")
    try:
        content = read_tensors(path)
    except CheckpointError as error:
        raise RunError(f"cannot resume from {path}: {error}") from error
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
        raise RunError(f"cannot resume from {path}: it is not the state of a run")
    if content["recipe"] != recipe.model_dump(mode="json"):
        raise RunError(f"cannot resume from {path}: it was started with other hyper-parameters")
    if content["manifest_sha256"] != manifest_sha256:
        raise RunError(f"cannot resume from {path}: the training data have changed since")
    history = tuple(EpochResult(**result) for result in content["history"])
    return RunState(content["trainer"], content["best_weights"], content["best_epoch"], history, content["sources"])


def clone_weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """Copy a network's weights to memory that training does not touch."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
