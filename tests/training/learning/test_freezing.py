import pytest
import torch

from model.networks.network import create_network, find_classifier
from tests.samples.phantoms import create_tiny_network
from training.learning.freezing import freeze_layers


def _learning(network: torch.nn.Module) -> set[str]:
    return {name.rpartition(".")[0] for name, weight in network.named_parameters() if weight.requires_grad}


def test_a_frozen_backbone_leaves_the_classifier():
    network = create_tiny_network()
    frozen = freeze_layers(network, 0)
    assert _learning(network) == {find_classifier(network)}
    assert network.get_submodule("conv_stem") in frozen
    assert network.get_submodule("bn2") in frozen


def test_the_last_layers_learn_with_it():
    network = create_tiny_network()
    freeze_layers(network, 2)
    assert _learning(network) == {"conv_head", "bn2", find_classifier(network)}


def test_the_top_twenty_layers_of_keras_are_ten_with_weights():
    """Of Keras' ResNet50V2: post_bn, conv5_block3 and, of conv5_block2, conv 3, bn 2 and conv 2."""
    network = create_network("resnetv2_50", 4)
    freeze_layers(network, 10)
    last, before = "stages.3.blocks.2", "stages.3.blocks.1"
    expected = {f"{last}.{kind}{number}" for kind in ("conv", "norm") for number in (1, 2, 3)}
    expected |= {"norm", f"{before}.conv2", f"{before}.norm3", f"{before}.conv3", "head.fc"}
    assert _learning(network) == expected


@pytest.mark.parametrize("num_trained", [None, 10_000])
def test_all_layers_learn_again(num_trained):
    network = create_tiny_network()
    freeze_layers(network, 0)
    assert freeze_layers(network, num_trained) == ()
    assert all(weight.requires_grad for weight in network.parameters())
