"""Weight files to engines."""

from pathlib import Path

from model.engines.engine import Engine
from model.errors import CheckpointError

DEFAULT_WEIGHTS = Path("weights/efficientnet_b0.onnx")  # as shipped, below the project's folder


def load_engine(path: Path, num_threads: int | None = None) -> Engine:
    """Load a weight file with the engine of its suffix, `.onnx` or `.pth`.

    Args:
        num_threads: Cores for one image. None is one for ONNX Runtime; it leaves torch's number, which holds for the
            whole process, unchanged.

    Raises:
        CheckpointError: If the file is missing, damaged, foreign or of another kind, or a `.pth` without torch.
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
