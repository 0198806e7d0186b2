"""Networks by name: those of timm, and the small ones of this project."""

from difflib import get_close_matches
from typing import Any

from torch import nn

from model.card import Head, ModelCard
from model.errors import CheckpointError
from model.networks.heads import create_head
from model.networks.small_networks import SMALL_NETWORKS, create_small_network
from model.networks.torchvision_operators import import_torchvision

_PLAIN = Head()


def create_network(
    architecture: str,
    num_classes: int,
    *,
    input_size: int = 224,
    head: Head = _PLAIN,
    pretrained: bool = False,
    dropout: float = 0.0,
    hidden_dropout: float = 0.0,
    drop_path: float = 0.0,
) -> nn.Module:
    """Create a network with a new classifier.

    Args:
        architecture: A timm name, or one of `SMALL_NETWORKS`; "efficientnet_b0" is Tan and Le, "EfficientNet", ICML
            2019, "resnetv2_50" is He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
        num_classes: Width of the new classifier.
        input_size: Height and width of the inputs; timm's networks take any.
        head: Design of the new classifier.
        pretrained: Start from timm's ImageNet weights, downloaded on first use.
        dropout: Before the classifier, in [0, 1).
        hidden_dropout: After the classifier's hidden layer, in [0, 1).
        drop_path: Stochastic depth of the last block, in [0, 1), smaller in earlier ones.

    Returns:
        A network from inputs (N, 3, H, W) to logits (N, K), in training mode.

    Raises:
        CheckpointError: If there is no such architecture, or it has no `pretrained` weights.
        OSError: If `pretrained` weights are neither stored nor downloadable.
    """
    if architecture in SMALL_NETWORKS:
        if pretrained or drop_path:
            raise CheckpointError(f"{architecture} has neither pretrained weights nor stochastic depth")
        return create_small_network(
            architecture, num_classes, input_size, head, dropout=dropout, hidden_dropout=hidden_dropout
        )
    network = _create_timm_network(architecture, num_classes, pretrained, dropout, drop_path)
    if head != _PLAIN:
        _replace_classifier(network, num_classes, head, hidden_dropout)
    return network


def create_network_of(card: ModelCard) -> nn.Module:
    """Create the network of a card.

    Raises:
        CheckpointError: If there is no such architecture, or its head does not fit the classes.
    """
    size = card.preprocessing.input_size
    return create_network(card.architecture, len(card.classes), input_size=size, head=card.head)


def find_classifier(network: nn.Module) -> str:
    """Find the path of the classifier module."""
    classifier = network.get_classifier()  # type: ignore[operator]  # all networks have this method of timm's
    return next(str(name) for name, module in network.named_modules() if module is classifier)


def _create_timm_network(
    architecture: str, num_classes: int, pretrained: bool, dropout: float, drop_path: float
) -> nn.Module:
    import_torchvision()
    import timm

    if not timm.is_model(architecture):
        near = get_close_matches(architecture, [*timm.list_models(), *SMALL_NETWORKS], n=1)
        raise CheckpointError(
            f"expected an architecture of timm, or one of {', '.join(SMALL_NETWORKS)}; found {architecture!r}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}  # not every network takes it
    try:
        network = timm.create_model(
            architecture, pretrained=pretrained, num_classes=num_classes, drop_rate=dropout, **options
        )
    except TypeError as error:
        raise CheckpointError(f"{architecture} has no stochastic depth: leave drop_path at 0") from error
    if not isinstance(network, nn.Module):
        raise CheckpointError(f"timm created no network for {architecture!r}")
    return network


def _replace_classifier(network: nn.Module, num_classes: int, head: Head, hidden_dropout: float) -> None:
    """Replace timm's linear layer or 1 x 1 convolution by a head of our own."""
    path = find_classifier(network)
    width = network.get_parameter(f"{path}.weight").shape[1]
    network.set_submodule(path, create_head(width, num_classes, head, hidden_dropout=hidden_dropout))


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
            raise CheckpointError(f"expected the path of a layer of the network; found {path!r}")
        module = children[part]
    return module
