"""The five reference systems in small: their own recipes, on networks and images small enough for a test."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from timm.models import register_model
from timm.models.resnetv2 import resnetv2_50
from torch import nn

from tests.samples.phantoms import TINY, draw_scan, encode

FOLDERS = ("glioma", "meningioma", "notumor", "pituitary")
TINY_RESNET = "tiny_resnetv2"
TINY_VALUES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "efficientnet_b0": {"architecture": TINY, "stages": [{"epochs": 1, "image_size": 64}]},
        "compact_cnn": {"stages": [{"epochs": 1, "image_size": 48}]},
        "binary_cnn": {"stages": [{"epochs": 1, "image_size": 50}], "hidden_units": 16},
        "resnet50v2_two_stage": {
            "architecture": TINY_RESNET,
            "hidden_units": 16,
            "stages": [
                {"epochs": 1, "image_size": 65, "trained_layers": 0},
                {
                    "epochs": 2,
                    "image_size": 65,
                    "trained_layers": 4,
                    "learning_rate": 1e-5,
                    "early_stopping_patience": 1,
                },
            ],
        },
        "efficientnet_b3": {
            "architecture": TINY,
            "hidden_units": 16,
            "stages": [
                {"epochs": 1, "image_size": 64, "trained_layers": 0},
                {"epochs": 1, "image_size": 64, "learning_rate": 2e-4},
            ],
        },
    }
)


def tiny_values(recipe: str) -> dict[str, Any]:
    """The changes to one of the five recipes for a test."""
    return {**TINY_VALUES[recipe], "pretrained": False, "batch_size": 8}


def write_four_classes(root: Path, num_scans: int = 30) -> Path:
    """Training and Testing with the public data set's folders; tumours have a spot whose place is their class."""
    places = {"glioma": (0.35, 0.4), "meningioma": (0.65, 0.4), "notumor": None, "pituitary": (0.5, 0.65)}
    for split, count in (("Training", num_scans), ("Testing", max(4, num_scans // 5))):
        for label, name in enumerate(FOLDERS):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                seed = int(np.random.default_rng([label, index, split == "Testing"]).integers(2**31))
                (folder / f"{index}.png").write_bytes(encode(draw_scan(56, places[name], seed)))
    return root


@register_model
def tiny_resnetv2(pretrained: bool = False, **options: Any) -> nn.Module:
    """`resnetv2_50` with one block a stage and few channels."""
    network: nn.Module = resnetv2_50(pretrained, layers=[1, 1, 1, 1], channels=(16, 24, 32, 48), stem_chs=8, **options)
    return network
