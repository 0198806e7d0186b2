"""Grad-CAM, with a backward pass through the tail of the network only.

A permanent forward hook taps the target layer. Its tensors belong to the call (`_TAP`, a context variable), parameters
need no gradient and `.backward()` is never used: any number of threads may share one network. `model.export` traces the
same function, so that the map in the ONNX file and the one computed here are the same mathematics.
"""

from contextvars import ContextVar

import torch
from torch import Tensor, nn

from model.errors import CheckpointError
from model.networks.network import find_layer

_TAP: ContextVar[tuple["GradCam", list[Tensor]] | None] = ContextVar("tap", default=None)

MIN_RELATIVE_SPAN = 1e-3  # of the maximum; a map that varies less is flat and carries no evidence


class GradCam(nn.Module):
    """Class-activation maps of one layer of a frozen network.

    Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2. For the last activation of a network that
    goes on with average pooling and one linear layer the result equals CAM (Zhou et al., "Learning Deep
    Features for Discriminative Localization", CVPR 2016) and HiResCAM (Draelos and Carin, 2020): the
    gradient there is the classifier's weight divided by the number of positions.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        """Freeze `network`, put it in evaluation mode and tap `layer`.

        Raises:
            CheckpointError: If the network has no such layer.
        """
        super().__init__()
        self._layer = layer
        self.network = network.eval().requires_grad_(False)
        find_layer(network, layer).register_forward_hook(self._record)

    def forward(self, inputs: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute logits, and a heatmap of the evidence for one class of each image, or for every class.

        L = ReLU(sum_k w_k A_k), with A_k channel k of the layer's output and w_k the mean over positions of
        d(logit)/dA_k; then L is scaled from its own range to [0, 1]. A flat map stays 0.

        Args:
            inputs: Normalised images, (N, 3, H, W).
            targets: (N,) int64, the index of the logit to explain; -1 for the largest. None for every class.

        Returns:
            Logits (N, K), and heatmaps (N, h, w), or (N, K, h, w) of every class, of the layer's resolution in [0, 1].

        Raises:
            CheckpointError: If the layer yields no maps.
        """
        features: list[Tensor] = []
        token = _TAP.set((self, features))
        with torch.enable_grad():
            try:
                logits = self.network(inputs)
            finally:
                _TAP.reset(token)
            if targets is None:
                evidences = logits.sum(dim=0).unbind()
            else:
                explained = torch.where(targets < 0, logits.argmax(dim=1), targets)
                evidences = (logits.gather(1, explained[:, None]).sum(),)
        (activations,) = features
        if activations.ndim != 4:
            raise CheckpointError(f"gradcam_layer: the outputs of {self._layer} are no maps (N, C, H, W) to explain")
        maps = [_draw_map(evidence, activations, keep=targets is None) for evidence in evidences]
        return logits.detach(), torch.stack(maps, dim=1) if targets is None else maps[0]

    def _record(self, _layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        tap = _TAP.get()
        if tap is None or tap[0] is not self:
            return output
        leaf = output.detach().requires_grad_()
        tap[1].append(leaf)
        return leaf


def _draw_map(evidence: Tensor, activations: Tensor, *, keep: bool) -> Tensor:
    (gradients,) = torch.autograd.grad(evidence, activations, retain_graph=keep)
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return scale_maps(torch.relu((weights * activations.detach()).sum(dim=1)))


def scale_maps(maps: Tensor) -> Tensor:
    """Scale each non-negative map of (N, h, w) from its own range to [0, 1], and flat ones to 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    span = high - low
    scaled = (maps - low) / span.clamp_min(torch.finfo(maps.dtype).tiny)
    return torch.where(span > MIN_RELATIVE_SPAN * high, scaled, torch.zeros_like(maps))
