"""The protocol of what runs a network."""

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
    """Logits (N, K), and features (N, D): what enters the classifier, the pooled last activation."""

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
        """What travels with the weights."""
        ...

    @property
    def name(self) -> str:
        """The library that computes: "onnxruntime" or "torch"."""
        ...

    @property
    def sha256(self) -> str:
        """Identity of the weights: the hash of the `.pth` they come from, whichever file is loaded."""
        ...

    def expect(self, num_images: int) -> None:
        """Learn how many images wait or are being judged; an image that is alone may have all cores."""
        ...

    def predict(self, inputs: FloatArray) -> Outputs:
        """Turn inputs (N, 3, S, S) into logits and features."""
        ...

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, for each image, the map of the class in `targets` (N,) or of `PREDICTED`."""
        ...
