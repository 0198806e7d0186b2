from typing import Any

import pytest
import torch

from model.networks.features import Explainer, FeatureReader
from model.networks.gradcam import GradCam
from model.networks.network import create_network
from tests.samples.phantoms import LAYERS, TINY_SIZE, create_tiny_network

INPUTS = torch.randn(4, 3, TINY_SIZE, TINY_SIZE, generator=torch.Generator().manual_seed(1))


def test_the_features_are_the_pooled_last_activation():
    network: Any = create_tiny_network()
    reader = FeatureReader(network)
    with torch.no_grad(), reader.read() as features:
        network(INPUTS)
        expected = network.forward_head(network.forward_features(INPUTS), pre_logits=True)
    assert torch.allclose(features[0], expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
def test_other_networks_have_features_too(architecture):
    network: Any = create_network(architecture, 3).eval()
    size = network.default_cfg["input_size"][-1]
    with torch.no_grad(), FeatureReader(network).read() as features:
        logits = network(torch.zeros(2, 3, size, size))
    assert torch.allclose(network.get_classifier()(features[0]), logits, atol=1e-6)


def test_nothing_is_read_outside():
    network: Any = create_tiny_network()
    reader = FeatureReader(network)
    with reader.read() as features:
        pass
    network(INPUTS)
    assert features == []


def test_two_readers_of_one_network_do_not_mix():
    network: Any = create_tiny_network()
    first, second = FeatureReader(network), FeatureReader(network)
    with first.read() as outer, second.read() as inner:
        network(INPUTS)
    assert (len(outer), len(inner)) == (0, 1)


def test_the_explainer_adds_features_and_changes_nothing_else():
    network: Any = create_tiny_network()
    targets = torch.tensor([-1, 0, 1, 2])
    expected = GradCam(network, LAYERS[0])(INPUTS, targets)
    logits, features, heatmaps = Explainer(network, LAYERS[0])(INPUTS, targets)
    assert torch.equal(logits, expected[0])
    assert torch.equal(heatmaps, expected[1])
    assert not features.requires_grad
    assert torch.allclose(network.get_classifier()(features), logits, atol=1e-6)
