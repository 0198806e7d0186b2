"""Heads: the layers from a backbone's features to the logits."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from model.card import Head
from model.errors import CheckpointError


class OpposedLogits(nn.Module):
    """One linear output z for two classes, as the logits -z/2 and z/2.

    Their softmax is (1 - sigmoid(z), sigmoid(z)) and their cross-entropy the binary one, so that all code for K logits
    serves a single sigmoid output too; and each class has evidence of its own, of opposite sign.
    """

    def __init__(self, width: int) -> None:
        """Create the layer for `width` features."""
        super().__init__()
        self.linear = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits (N, 2) of features (N, D)."""
        half = self.linear(features) / 2
        return torch.cat([-half, half], dim=1)


def create_head(
    width: int, num_classes: int, design: Head, *, dropout: float = 0.0, hidden_dropout: float = 0.0
) -> nn.Sequential:
    """Create the layers from features to logits.

    Args:
        width: Number of features, flattened.
        dropout: Before the first layer.
        hidden_dropout: After the hidden layer, if there is one.

    Returns:
        A module from (N, C, h, w) or (N, D) to (N, K).

    Raises:
        CheckpointError: If there is a sigmoid output for other than two classes.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten(), dropout=nn.Dropout(dropout))
    if design.hidden_units:
        layers["hidden"] = nn.Linear(width, design.hidden_units)
        layers["norm"] = nn.BatchNorm1d(design.hidden_units) if design.batch_norm else nn.Identity()
        layers["activation"] = nn.ReLU()
        layers["hidden_dropout"] = nn.Dropout(hidden_dropout)
        width = design.hidden_units
    if design.output == "sigmoid" and num_classes != 2:
        raise CheckpointError(f"expected two classes for one sigmoid output; found {num_classes}")
    layers["output"] = OpposedLogits(width) if design.output == "sigmoid" else nn.Linear(width, num_classes)
    return nn.Sequential(layers)
