"""The features that enter a network's classifier.

As in `model.networks.gradcam`, the hook is permanent and its readings belong to the call (a context variable), so that
any number of threads may share one network and the export can trace it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

from model.networks.gradcam import GradCam
from model.networks.network import find_classifier

_READING: ContextVar[tuple["FeatureReader", list[Tensor]] | None] = ContextVar("reading", default=None)


class FeatureReader:
    """Reads the input of a network's classifier, for EfficientNet-B0 the 1280 means over positions.

    The means are computed here if the classifier sees each position, as in `model.networks.small_networks`.
    """

    def __init__(self, network: nn.Module) -> None:
        """Place the hook, which does not change the network's outputs."""
        network.get_submodule(find_classifier(network)).register_forward_pre_hook(self._record)

    @contextmanager
    def read(self) -> Iterator[list[Tensor]]:
        """Yield a list that each run of the network in this thread appends its features (N, D) to."""
        features: list[Tensor] = []
        token = _READING.set((self, features))
        try:
            yield features
        finally:
            _READING.reset(token)

    def _record(self, _classifier: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        reading = _READING.get()
        if reading is not None and reading[0] is self:
            features = inputs[0].detach()
            reading[1].append(features.mean(dim=(2, 3)) if features.ndim == 4 else features.flatten(1))


class Explainer(nn.Module):
    """Logits, features and class-activation maps in one pass, as traced by `model.export`."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        """Freeze `network` and tap `layer`; see `GradCam`.

        Raises:
            CheckpointError: If the network has no such layer.
        """
        super().__init__()
        self.cam = GradCam(network, layer)
        self.reader = FeatureReader(network)

    def forward(self, inputs: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Compute logits (N, K), features (N, D) and heatmaps; these and the arguments are those of `GradCam`."""
        with self.reader.read() as features:
            logits, heatmaps = self.cam(inputs, targets)
        return logits, features[0], heatmaps
