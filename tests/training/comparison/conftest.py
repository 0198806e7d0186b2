"""Three systems that classify the same made-up scans: two of three classes, one that only tells tumours."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.card import Head
from model.checkpoints.checkpoint import save_checkpoint
from model.networks.network import create_network
from tests.samples.phantoms import CLASSES, TINY, create_card, create_tiny_network
from training.comparison.comparison import Comparison, ComparisonOptions, NamedCheckpoint, compare

BINARY_MAP = {"glioma": "tumor", "pituitary": "tumor", "notumor": "no_tumor"}


def save_system(path: Path, name: str, split: str, seed: int) -> Path:
    network = create_tiny_network(seed)
    training = {"recipe": {"name": name}, "split": split, "epochs": 3, "seconds": 120}
    save_checkpoint(path, network.state_dict(), create_card(network, training=training))
    return path


def save_binary_system(path: Path) -> Path:
    torch.manual_seed(3)
    head = Head(output="sigmoid")
    network = create_network(TINY, 2, head=head).eval()
    training = {"recipe": {"name": "two"}, "split": "grouped"}
    changes: dict[str, Any] = {
        "classes": ("no_tumor", "tumor"),
        "class_map": BINARY_MAP,
        "head": head,
        "training": training,
    }
    save_checkpoint(path, network.state_dict(), create_card(network, **changes))
    return path


@pytest.fixture(scope="session")
def comparison(grouped_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("systems")
    paths = [
        save_system(folder / "one_official.pth", "one", "official", 0),
        save_system(folder / "one_grouped.pth", "one", "grouped", 1),
        save_system(folder / "other.pth", "other", "official", 2),
        save_binary_system(folder / "two.pth"),
    ]
    checkpoints = tuple(NamedCheckpoint(path) for path in paths)
    assert len(CLASSES) == 3
    return compare(ComparisonOptions(grouped_folder, checkpoints, grouped_folder / "groups.csv"))
