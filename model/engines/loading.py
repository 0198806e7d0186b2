"""Loads a weight file with the engine that its suffix names."""

from pathlib import Path

from model.engines.engine import Engine
from model.errors import CheckpointError

DEFAULT_WEIGHTS = Path("weights/efficientnet_b0.onnx")  # the shipped ones, from the project's folder


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
        from model.engines.onnx_engine import OnnxEngine

        return OnnxEngine(path, num_threads or 1)
    if path.suffix != ".pth":
        raise CheckpointError(f"cannot load {path}: expected a file ending in .onnx or .pth")
    try:
        from model.engines.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"cannot load {path}: .pth needs torch and timm; install them or serve the .onnx"
        ) from error
    return TorchEngine(path, num_threads)
