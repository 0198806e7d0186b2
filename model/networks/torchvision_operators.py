"""Let torchvision (and so timm) be imported beside a torch it was not compiled for.

The package index of Python serves torchvision linked against CUDA. Beside a CPU-only torch its compiled
operators do not load, and `import torchvision` stops where it registers fake kernels for two of them,
`torchvision::nms` and `torchvision::qnms`. Nothing here calls a compiled operator: declaring the two
schemas is enough for torchvision's Python transforms and for timm. With matching builds, as on PyTorch's
own index, the import succeeds at once and nothing is declared.
"""

import importlib

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> None:
    """Make `import torchvision` work from here on.

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
