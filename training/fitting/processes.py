"""The processes that train together: `torchrun --nproc-per-node=N -m training fit ...`.

Every process sees its share of each batch; gradients, batch statistics and scores are those of the whole batch, so
that N processes learn what one learns. Only the main one writes.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from model.networks.torchvision_operators import import_torchvision
from training.errors import RunError


@dataclass(frozen=True)
class Processes:
    """Who this process is among `size`, counted from 0."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files and talks to people."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Share the gradients of a module, whose batch statistics `share_statistics` takes care of."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, broadcast_buffers=False)

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor over all processes; each gets the sum."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Go on when all have come this far."""
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
    """Part from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def share_statistics(network: nn.Module) -> None:
    """Let batch normalisation use mean and variance of the whole batch: torch's own does so only on a GPU."""
    import_torchvision()
    from timm.layers.norm_act import BatchNormAct2d

    class SharedBatchNormAct2d(BatchNormAct2d):
        def forward(self, inputs: Tensor) -> Tensor:
            if not self.training:
                return super().forward(inputs)  # type: ignore[no-untyped-call, no-any-return]
            outputs: Tensor = self.act(self.drop(_normalize(self, inputs)))
            return outputs

    shared: dict[type, Any] = {
        nn.BatchNorm1d: _SharedBatchNorm1d,
        nn.BatchNorm2d: _SharedBatchNorm2d,
        BatchNormAct2d: SharedBatchNormAct2d,
    }
    for module in network.modules():
        if type(module) in shared:
            module.__class__ = shared[type(module)]


class _SharedBatchNorm1d(nn.BatchNorm1d):
    def forward(self, inputs: Tensor) -> Tensor:
        return _normalize(self, inputs) if self.training else super().forward(inputs)


class _SharedBatchNorm2d(nn.BatchNorm2d):
    def forward(self, inputs: Tensor) -> Tensor:
        return _normalize(self, inputs) if self.training else super().forward(inputs)


def _normalize(layer: nn.BatchNorm1d | nn.BatchNorm2d, inputs: Tensor) -> Tensor:
    """Normalise over images of all processes and positions; Ioffe and Szegedy, ICML 2015, algorithm 1.

    Args:
        inputs: (N, C) or (N, C, H, W), of which N is the same in every process.
    """
    values = inputs.float()
    count = distributed.get_world_size() * values.numel() / values.shape[1]
    others, by_channel = [0, *range(2, values.ndim)], (-1, *[1] * (values.ndim - 2))
    mean = _sum_over_processes(values.sum(dim=others)) / count
    centered = values - mean.view(by_channel)
    variance = _sum_over_processes((centered**2).sum(dim=others)) / count
    if layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None:
        share = layer.momentum or 0.1
        layer.running_mean.lerp_(mean.detach(), share)
        layer.running_var.lerp_(variance.detach() * count / (count - 1), share)
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked += 1
    scale = layer.weight * torch.rsqrt(variance + layer.eps)
    return (centered * scale.view(by_channel) + layer.bias.view(by_channel)).to(inputs.dtype)


def _sum_over_processes(tensor: Tensor) -> Tensor:
    total: Tensor = all_reduce(tensor)  # type: ignore[no-untyped-call]  # the one that gradients flow through
    return total
