"""PyTorch: the engine for a `.pth`, and the reference for the other."""

from pathlib import Path

import torch

from model.checkpoints.checkpoint import load_checkpoint
from model.engines.engine import Explanation, IndexArray, Outputs
from model.images.decoded import FloatArray
from model.networks.features import Explainer


class TorchEngine:
    """A checkpoint in torch, on the CPU."""

    name = "torch"

    def __init__(self, path: Path, num_threads: int | None = None) -> None:
        """Load `path`; `num_threads`, if given, is set for the whole process.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign, or its weights do not fit its card.
        """
        checkpoint = load_checkpoint(path)
        self.card, self.sha256 = checkpoint.card, checkpoint.sha256
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self._network = checkpoint.network
        self._explainer = Explainer(checkpoint.network, checkpoint.card.gradcam_layer)

    def expect(self, num_images: int) -> None:
        """Do nothing: torch has one number of threads for the whole process."""

    def predict(self, inputs: FloatArray) -> Outputs:
        """Compute logits and features of inputs (N, 3, S, S)."""
        with torch.inference_mode(), self._explainer.reader.read() as features:
            logits = self._network(torch.from_numpy(inputs))
        return Outputs(logits.numpy(), features[0].numpy())

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, of each image, the map of its class in `targets` (N,) or of `PREDICTED`."""
        computed = self._explainer(torch.from_numpy(inputs), torch.from_numpy(targets))
        return Explanation(*(tensor.numpy() for tensor in computed))
