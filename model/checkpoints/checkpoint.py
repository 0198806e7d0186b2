"""The `.pth` file: weights and card, and no code.

{"format": "brain-tumor-mri/1", "state_dict": {name: tensor}, "card": {plain types}}
"""

import errno
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.card import ModelCard, parse_card
from model.checkpoints.file_hash import hash_file
from model.errors import CheckpointError
from model.host.atomic_file import replace_file
from model.networks.network import create_network_of

FORMAT = "brain-tumor-mri/1"


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, its card, and the SHA-256 of the file they came from."""

    network: nn.Module
    card: ModelCard
    sha256: str


def save_checkpoint(path: Path, state_dict: dict[str, Tensor], card: ModelCard) -> str:
    """Write a checkpoint whole or not at all; return the file's SHA-256, hexadecimal."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    save_atomically(path, {"format": FORMAT, "state_dict": weights, "card": card.model_dump(mode="json")})
    return hash_file(path)


def save_atomically(path: Path, content: dict[str, object]) -> None:
    """Write `content` with `torch.save`, whole or not at all; raise `OSError` where that fails."""
    with replace_file(path) as draft, draft.open("wb") as file:
        try:
            torch.save(content, file)  # to a stream: a path's name would become part of the content, and of its hash
        except RuntimeError as error:  # what torch makes of an error of the stream
            raise OSError(errno.EIO, "cannot be written whole; is the disk full?", str(path)) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint written by `save_checkpoint`.

    Only tensors and plain types are unpickled (`weights_only=True`).

    Raises:
        CheckpointError: If the file is missing, damaged, foreign, or its weights do not fit its card.
    """
    try:
        content = read_tensors(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise CheckpointError(
                f"expected a checkpoint of format {FORMAT!r}; train one with `python -m training fit`"
            )
        card = parse_card(content.get("card"))
        network = create_network_of(card)
        load_weights(network, content.get("state_dict"))
    except CheckpointError as error:
        raise CheckpointError(f"cannot load {path}: {error}") from error
    return Checkpoint(network.eval().requires_grad_(False), card, hash_file(path))


def read_tensors(path: Path) -> object:
    """Read a file of tensors and plain types.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds anything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on how a foreign file was pickled; it is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError("there is no such file") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError("expected tensors and plain types; the file is no checkpoint, or holds code") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError("the file is damaged or not a checkpoint") from error


def load_weights(network: nn.Module, state_dict: object) -> None:
    """Copy weights into `network`.

    Raises:
        CheckpointError: If a name or shape does not fit, or a value is not finite.
    """
    if not isinstance(state_dict, dict):
        raise CheckpointError("it holds no state_dict")
    try:
        network.load_state_dict(state_dict)
    except RuntimeError as error:
        raise CheckpointError("its weights do not fit the architecture its card names") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()):
        raise CheckpointError("it holds weights that are not finite")
