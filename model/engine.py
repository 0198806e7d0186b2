"""What runs a network: one small protocol, and the choice by the file's suffix."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.card import ModelCard
from model.errors import CheckpointError
from model.preprocessing import FloatArray

IndexArray = npt.NDArray[np.int64]
DEFAULT_WEIGHTS = Path("weights/efficientnet_b0.onnx")  # the shipped ones, from the project's folder
LOGIT_TOLERANCE = 1e-2  # in float32 kernels of different processors differ by about 1e-5
PREDICTED = -1  # as a target: the class with the largest logit


@dataclass(frozen=True)
class Outputs:
    """Logits (N, K), and features (N, D): what enters the classifier, the pooled last activation."""

    logits: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class Explanation:
    """Logits (N, K), features (N, D), and heatmaps (N, h, w) of the explained layer's resolution, in [0, 1]."""

    logits: FloatArray
    features: FloatArray
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


def load_engine(path: Path, num_threads: int | None = None) -> Engine:
    """Load a weight file with the engine its suffix names: `.onnx` or `.pth`.

    Args:
        num_threads: Cores that may work on one image. Torch has one number for the whole process: None leaves
            it as it is. For ONNX Runtime None is one.

    Raises:
        CheckpointError: If the file is missing, damaged, foreign or of another kind, or if `.pth` is asked
            for where torch is not installed.
    """
    if path.suffix == ".onnx":
        from model.onnx_engine import OnnxEngine

        return OnnxEngine(path, num_threads or 1)
    if path.suffix != ".pth":
        raise CheckpointError(f"cannot load {path}: expected a file ending in .onnx or .pth")
    try:
        from model.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"cannot load {path}: .pth needs torch and timm; install them or serve the .onnx"
        ) from error
    return TorchEngine(path, num_threads)
