"""Import of torchvision, and so of timm, beside a torch that it was not compiled for.

The Python package index serves torchvision linked against CUDA. Beside a CPU-only torch its compiled operators do not
load, and `import torchvision` fails as it registers fake kernels for `torchvision::nms` and `torchvision::qnms`.
Nothing here calls a compiled operator: declaring the two schemas suffices for torchvision's Python transforms and for
timm. With matching builds, as on PyTorch's own index, the import succeeds and nothing is declared.
"""

import importlib

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> None:
    """Import torchvision, so that any later import of it works.

    Raises:
        RuntimeError: If torchvision cannot be imported for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", _SCHEMA)
        importlib.import_module("torchvision")
