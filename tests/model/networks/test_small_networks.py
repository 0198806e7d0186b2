from typing import Any

import pytest
import torch
from torch import nn

from model.card import Head
from model.errors import CheckpointError
from model.networks.features import FeatureReader
from model.networks.network import create_network, create_network_of
from model.networks.small_networks import SMALL_NETWORKS, create_small_network
from tests.samples.phantoms import create_card


def _reference_compact_cnn(num_classes: int, input_size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for num_in, num_out in ((3, 16), (16, 32), (32, 64)):
        for channels in (num_in, num_out):
            layers += [nn.Conv2d(channels, num_out, 3, padding=1), nn.ReLU()]
        layers += [nn.BatchNorm2d(num_out), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (input_size // 8) ** 2, num_classes))


def test_compact_cnn_is_the_published_network():
    """Written out layer by layer, with the same weights in the same order."""
    network, reference = create_network("compact_cnn", 4, input_size=224), _reference_compact_cnn(4, 224)
    reference.load_state_dict(dict(zip(reference.state_dict(), network.state_dict().values(), strict=True)))
    inputs = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(network.eval()(inputs), reference.eval()(inputs), atol=1e-5)


def test_binary_cnn_has_three_convolutions_and_one_output():
    head = Head(hidden_units=128, output="sigmoid")
    network = create_network("binary_cnn", 2, input_size=150, head=head)
    kinds = [type(module) for module in network.modules()]
    assert [kinds.count(kind) for kind in (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Linear)] == [3, 3, 3, 2]
    assert list(network.modules())[-1].out_features == 1


@pytest.mark.parametrize("architecture", SMALL_NETWORKS)
def test_features_are_averages_over_positions(architecture):
    """So few that an outlier detector can be fitted to them; the head sees 64 times as many."""
    network: Any = create_network(architecture, 2, input_size=64).eval()
    inputs = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FeatureReader(network).read() as features:
        logits = network(inputs)
        last = network.forward_features(inputs)
        assert torch.allclose(network.forward_head(last), logits)
    assert torch.allclose(features[0], last.mean(dim=(2, 3)), atol=1e-6)


def test_the_card_holds_the_input_size_of_the_network():
    network = create_network("compact_cnn", 3, input_size=64).eval()
    card = create_card(network, "blocks.-1", architecture="compact_cnn")
    create_network_of(card).load_state_dict(network.state_dict())


def test_options_that_they_lack_are_refused():
    with pytest.raises(CheckpointError, match="pretrained"):
        create_network("compact_cnn", 4, pretrained=True)
    with pytest.raises(CheckpointError, match="compact_cnn"):
        create_small_network("other", 4, 64, Head(), dropout=0, hidden_dropout=0)
