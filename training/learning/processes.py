"""The processes that train together: `torchrun --nproc-per-node=N -m training fit ...`.

Every process sees its share of each batch; gradients and scores are those of the whole batch, on GPUs the statistics of
batch normalisation too. On a CPU each process normalises its share by itself. Only the main one writes.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from model.networks.torchvision_operators import import_torchvision
from training.errors import RunError


@dataclass(frozen=True)
class Processes:
    """Rank of this process among `size`, counted from 0."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files and logs."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Share the gradients of a module."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor over all processes; each gets the sum."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Wait until all have come this far."""
        if self.size > 1:
            distributed.barrier()


ALONE = Processes()


def join_processes(device: torch.device) -> Processes:
    """Find the other processes, if `torchrun` started any, by the environment it sets.

    Raises:
        RunError: If the variables are not as torchrun sets them.
    """
    try:
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError as error:
        raise RunError("RANK and WORLD_SIZE are set, but not as torchrun sets them") from error
    if size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(rank, size)


def leave_processes() -> None:
    """Leave the group of processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def share_statistics(network: nn.Module) -> nn.Module:
    """Let batch normalisation use mean and variance of the whole batch; torch can on a GPU alone."""
    import_torchvision()
    from timm.layers.norm_act import convert_sync_batchnorm  # torch's own would lose the activations in timm's layers

    shared: nn.Module = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return shared
