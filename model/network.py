"""The networks, made by name."""

from typing import Any

from torch import nn

from model.errors import CheckpointError
from model.torchvision_operators import import_torchvision


def create_network(
    architecture: str,
    num_classes: int,
    *,
    pretrained: bool = False,
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> nn.Module:
    """Make a timm network with a new classifier for our classes.

    Args:
        architecture: A timm name; "efficientnet_b0" is Tan and Le, "EfficientNet", ICML 2019.
        num_classes: Width of the new classifier.
        pretrained: Start from timm's ImageNet weights, downloaded on first use.
        dropout: Before the classifier, in [0, 1).
        drop_path: Stochastic depth of the last block, in [0, 1); earlier ones have less.

    Returns:
        A network from inputs (N, 3, H, W) to logits (N, K), in training mode.

    Raises:
        CheckpointError: If timm has no such architecture.
        OSError: If `pretrained` weights can neither be found nor downloaded.
    """
    import_torchvision()
    import timm

    if not timm.is_model(architecture):
        raise CheckpointError(f"expected an architecture that timm knows, found {architecture!r}")
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}  # not every network has it
    network = timm.create_model(
        architecture, pretrained=pretrained, num_classes=num_classes, drop_rate=dropout, **options
    )
    if not isinstance(network, nn.Module):
        raise CheckpointError(f"timm made no network of {architecture!r}")
    return network


def find_layer(network: nn.Module, path: str) -> nn.Module:
    """Look up a module by a dotted path in which negative numbers count from the end.

    Raises:
        CheckpointError: If the network has no such module.
    """
    module = network
    for part in path.split("."):
        children = dict(module.named_children())
        if part.startswith("-") and part[1:].isdigit() and int(part[1:]) <= len(children):
            part = list(children)[int(part)]
        if part not in children:
            raise CheckpointError(f"expected a layer of the network, found {path!r}")
        module = children[part]
    return module
