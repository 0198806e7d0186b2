"""Freezing layers of a backbone."""

from torch import nn

from model.networks.network import find_classifier


def freeze_layers(network: nn.Module, num_trained: int | None) -> tuple[nn.Module, ...]:
    """Freeze the backbone but for its last `num_trained` layers (None: all of them learn).

    A layer is a module with weights of its own, such as a convolution or a normalisation; activations, pooling and
    sums, which other libraries count too, are none.

    Returns:
        The frozen layers, to be kept in evaluation mode.
    """
    classifier = find_classifier(network)
    backbone = [
        module
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None and not f"{name}.".startswith(f"{classifier}.")
    ]
    num_frozen = 0 if num_trained is None else max(0, len(backbone) - num_trained)
    for index, layer in enumerate(backbone):
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(index >= num_frozen)
    return tuple(backbone[:num_frozen])
