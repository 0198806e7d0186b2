"""The protocol of engines, which run a network."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.card import ModelCard
from model.images.decoded import FloatArray

IndexArray = npt.NDArray[np.int64]
LOGIT_TOLERANCE = 1e-2  # in float32 kernels of different processors differ by about 1e-5
PREDICTED = -1  # as a target: the class with the largest logit


@dataclass(frozen=True)
class Outputs:
    """Logits (N, K), and features (N, D), the pooled last activation, which enters the classifier."""

    logits: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class Explanation(Outputs):
    """The outputs with heatmaps (N, h, w) of the explained layer's resolution, in [0, 1]."""

    heatmaps: FloatArray


class Engine(Protocol):
    """A loaded network; may be called from any number of threads at once."""

    @property
    def card(self) -> ModelCard:
        """The card of the weights."""
        ...

    @property
    def name(self) -> str:
        """The library: "onnxruntime" or "torch"."""
        ...

    @property
    def sha256(self) -> str:
        """Identity of the weights: the hash of the `.pth` they come from, also if the `.onnx` is loaded."""
        ...

    def expect(self, num_images: int) -> None:
        """Set the number of images in the queue or in progress; a single one may use all cores."""
        ...

    def predict(self, inputs: FloatArray) -> Outputs:
        """Compute logits and features of inputs (N, 3, S, S)."""
        ...

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, of each image, the map of its class in `targets` (N,) or of `PREDICTED`."""
        ...
