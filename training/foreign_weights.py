"""Files of weights that other programs wrote, by timm's names.

file -> tensors and plain values -> the state dict in them -> names without the prefixes of wrappers
"""

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.checkpoints.checkpoint import read_tensors
from model.errors import CheckpointError

_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # timm's and others' running averages first
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DistributedDataParallel, torch.compile, Lightning

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForeignWeights:
    """A state dict and what the file says about it.

    Attributes:
        path: The file.
        tensors: By the names of the network alone.
        entry: The entry of the file that held them; empty where they are the file.
        architecture: As timm's train script stores it.
        options: Of that script, by name.
        format: The mark of a checkpoint of this project.
    """

    path: Path
    tensors: dict[str, Tensor]
    entry: str
    architecture: str | None
    options: dict[str, Any]
    format: object


def read_foreign_weights(path: Path) -> ForeignWeights:
    """Read a plain state dict (torch or safetensors), or a checkpoint of timm's train script, Lightning or the like.

    Raises:
        CheckpointError: If the file is missing or damaged, holds code, or holds no state dict.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's script stores its options so: plain data
            content = read_tensors(path)
    except CheckpointError as error:
        raise CheckpointError(f"cannot load {path}: {error}") from error
    found = content if isinstance(content, Mapping) else {}
    entry, weights = "", found
    while (name := next((name for name in _NESTED if isinstance(weights.get(name), Mapping)), None)) is not None:
        entry, weights = name, weights[name]
    tensors = {_strip(str(name)): value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"cannot load {path}: expected a state dict, or one as {', '.join(_NESTED)}")
    if entry:
        logger.info("read %s of %s%s", entry, path, ", a running average" if entry.endswith("ema") else "")
    architecture, options = found.get("arch"), found.get("args")
    return ForeignWeights(
        path,
        tensors,
        entry,
        architecture if isinstance(architecture, str) else None,
        dict(vars(options)) if isinstance(options, argparse.Namespace) else {},
        found.get("format"),
    )


def select_weights(network: nn.Module, weights: ForeignWeights, without: str | None = None) -> dict[str, Tensor]:
    """Select the tensors of a network; those below the module `without`, and counts of batches, stay as they are.

    Raises:
        CheckpointError: If one is missing or of another shape.
    """
    own = network.state_dict()
    wanted = [name for name in own if without is None or not name.startswith(f"{without}.")]
    found = {name: weights.tensors[name] for name in wanted if name in weights.tensors}
    lacking = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    lacking += [name for name, tensor in found.items() if tensor.shape != own[name].shape]
    if lacking:
        raise CheckpointError(f"{weights.path} does not fit the architecture: {lacking[0]} and {len(lacking) - 1} more")
    return {**own, **found}


def _strip(name: str) -> str:
    """Take the prefixes of wrappers off, in any order."""
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name
