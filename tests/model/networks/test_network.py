import pytest
import torch

from model.errors import CheckpointError
from model.networks.network import create_network, find_layer
from tests.samples.phantoms import TINY, create_tiny_network


def test_efficientnet_b0_has_the_published_size_and_our_classes():
    network = create_network("efficientnet_b0", 4)
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    assert num_weights == 4_007_548 + 4 * 1281  # the features, and a linear layer of 1280 inputs
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(CheckpointError, match="'no_such_net'"):
        create_network("no_such_net", 4)


def test_negative_numbers_count_from_the_end():
    network = create_tiny_network()
    assert find_layer(network, "blocks.-1.-1.conv_pw") is network.get_submodule("blocks.4.0.conv_pw")
    assert find_layer(network, "bn2") is network.get_submodule("bn2")


@pytest.mark.parametrize("path", ["", "blocks.9", "blocks.-9", "blocks.-0x1", "conv_stem.weight", "blocks..0"])
def test_a_layer_that_is_not_there_is_refused(path):
    with pytest.raises(CheckpointError, match="path of a layer"):
        find_layer(create_network(TINY, 2), path)
