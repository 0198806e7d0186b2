"""Small networks to train without pretrained weights: blocks that halve the sides, and a head on all positions."""

from torch import Tensor, nn

from model.card import Head
from model.errors import CheckpointError
from model.networks.heads import create_head

SMALL_NETWORKS = ("compact_cnn", "binary_cnn")  # for one input size only: the head sees each position


class SmallNetwork(nn.Module):
    """Blocks and a head, with the methods of timm's networks."""

    def __init__(self, blocks: nn.Sequential, head: nn.Module) -> None:
        """Combine blocks and head."""
        super().__init__()
        self.blocks = blocks
        self.head = head

    def forward_features(self, inputs: Tensor) -> Tensor:
        """Compute features (N, C, S / 8, S / 8) of inputs (N, 3, S, S)."""
        features: Tensor = self.blocks(inputs)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Compute logits (N, K)."""
        logits: Tensor = self.head(features)
        return logits

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.head

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits (N, K) of inputs (N, 3, S, S)."""
        return self.forward_head(self.forward_features(inputs))


def create_small_network(
    architecture: str, num_classes: int, input_size: int, head: Head, *, dropout: float, hidden_dropout: float
) -> nn.Module:
    """Create one of `SMALL_NETWORKS`.

    - compact_cnn: three blocks of 16, 32 and 64 channels, each of two 3 x 3 convolutions with ReLU, batch normalisation
      and 2 x 2 max-pooling.
    - binary_cnn: three blocks of 32, 64 and 128 channels, each of one 3 x 3 convolution with ReLU, batch normalisation
      and 2 x 2 max-pooling.

    Raises:
        CheckpointError: If there is no such network, or the head does not fit the classes.
    """
    if architecture == "compact_cnn":
        widths, num_convolutions = (16, 32, 64), 2
    elif architecture == "binary_cnn":
        widths, num_convolutions = (32, 64, 128), 1
    else:
        raise CheckpointError(f"expected one of {', '.join(SMALL_NETWORKS)}; found {architecture!r}")
    pairs = zip((3, *widths[:-1]), widths, strict=True)
    blocks = nn.Sequential(*(_create_block(num_in, num_out, num_convolutions) for num_in, num_out in pairs))
    side = input_size // 2 ** len(widths)
    classifier = create_head(widths[-1] * side**2, num_classes, head, dropout=dropout, hidden_dropout=hidden_dropout)
    return SmallNetwork(blocks, classifier)


def _create_block(num_in: int, num_out: int, num_convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(num_convolutions):
        layers += [nn.Conv2d(num_out if index else num_in, num_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.BatchNorm2d(num_out), nn.MaxPool2d(2))
