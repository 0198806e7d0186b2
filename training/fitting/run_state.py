"""The state of a run after each whole epoch, from which a killed run continues."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoints.checkpoint import read_tensors, save_atomically
from model.errors import CheckpointError
from training.errors import RunError
from training.fitting.progress import is_extended, next_stage
from training.fitting.run_data import RunData
from training.recipe import Recipe, parse_recipe
from training.run import EpochResult

_FORMAT = "brain-tumor-mri-run/4"
_STARTING_POINTS = {"initial_weights_sha256", "pretrained_file_sha256"}  # of no use to a run that has started


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


def save_state(path: Path, state: RunState, recipe: Recipe, data: RunData) -> None:
    """Write the state whole or not at all."""
    content = {
        "format": _FORMAT,
        "recipe": recipe.model_dump(mode="json"),
        "data": data.describe(),
        "trainer": state.trainer,
        "best_weights": state.best_weights,
        "best_epoch": state.best_epoch,
        "history": [asdict(result) for result in state.history],
        "sources": state.sources,
    }
    save_atomically(path, content)


def load_state(path: Path, recipe: Recipe, data: RunData, sources: Mapping[str, str]) -> RunState:
    """Read the state of a run of the same recipe, or of one with fewer epochs, on the same data.

    Args:
        sources: As in `RunState`, of the files that are named now; those that a run only starts from may be missing.

    Raises:
        RunError: If there is none, it is damaged, or recipe or data have changed; all differences are named.
    """
    if not path.exists():
        raise RunError(f"nothing to resume: there is no {path}")
    try:
        content = read_tensors(path)
    except CheckpointError as error:
        raise RunError(f"cannot resume from {path}: {error}") from error
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
        raise RunError(f"cannot resume from {path}: it is not the state of a run")
    history = tuple(EpochResult(**result) for result in content["history"])
    started = parse_recipe(content["recipe"])
    if is_extended(started, recipe):
        _check_extension(path, started, recipe, history)
        started = recipe
    known = {name: content["sources"][name] for name in _STARTING_POINTS & content["sources"].keys()}
    differences = [
        *_compare(started.model_dump(mode="json"), recipe.model_dump(mode="json")),
        *_compare(content["data"], data.describe()),
        *_compare(content["sources"], {**known, **sources}),
    ]
    if differences:
        raise RunError(f"cannot resume from {path}: {'; '.join(differences)}")
    return RunState(content["trainer"], content["best_weights"], content["best_epoch"], history, content["sources"])


def _check_extension(path: Path, started: Recipe, recipe: Recipe, history: Sequence[EpochResult]) -> None:
    wanted = f"cannot extend {path} from {started.num_epochs} to {recipe.num_epochs} epochs"
    if recipe.schedule == "cosine":
        raise RunError(
            f"{wanted}: its rate falls along a cosine to 0 at the last one; start anew, or with --initial-weights"
        )
    if history and next_stage(started, history) is None and next_stage(recipe, history) is None:
        raise RunError(f"{wanted}: epoch {len(history)} was the last for want of a lower validation loss")


def _compare(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Name the values that differ, with both of them."""
    for name in sorted({*there, *here}):
        one, other = there.get(name), here.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _compare(one, other, f"{prefix}{name}.")
        elif one != other:
            yield f"{prefix}{name} is {json.dumps(one)} there and {json.dumps(other)} here"


def clone_weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """Copy a network's weights to memory that training does not touch."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
