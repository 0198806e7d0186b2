import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
from torch import nn

from model.errors import CheckpointError
from model.networks.gradcam import GradCam
from model.networks.network import find_layer
from tests.model.networks.test_gradcam import reference_maps
from tests.samples.phantoms import LAYERS, TINY_SIZE, create_tiny_network
from training.localization.class_maps import Method, compute_class_maps

INPUTS = torch.randn(4, 3, TINY_SIZE, TINY_SIZE, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1, 2, 0])
ALL_LAYERS = (*LAYERS, "blocks.2")
REFERENCES = {Method.GRAD_CAM: GradCAM, Method.HIRES_CAM: HiResCAM, Method.LAYER_CAM: LayerCAM}


def frozen_network():
    return create_tiny_network().requires_grad_(False)


@pytest.mark.parametrize("layer", ALL_LAYERS)
@pytest.mark.parametrize("method", Method)
def test_maps_equal_the_reference_library(layer, method):
    network = frozen_network()
    ours = compute_class_maps(network, ALL_LAYERS, INPUTS, TARGETS).maps[layer, method]
    assert np.abs(ours.numpy() - reference_maps(network, layer, INPUTS, TARGETS, REFERENCES[method])).max() < 1e-3


@pytest.mark.parametrize("layer", ALL_LAYERS)
def test_grad_cam_is_what_is_served(layer):
    network = frozen_network()
    ours = compute_class_maps(network, ALL_LAYERS[::-1], INPUTS, TARGETS)
    logits, maps = GradCam(network, layer)(INPUTS, TARGETS)
    assert torch.allclose(ours.maps[layer, Method.GRAD_CAM], maps, atol=1e-5)
    assert torch.allclose(ours.logits, logits, atol=1e-6)


def test_the_network_is_left_as_it_was():
    network = create_tiny_network()
    before = network(INPUTS)
    found = compute_class_maps(network, ALL_LAYERS, INPUTS, TARGETS)
    assert torch.equal(network(INPUTS), before)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(each.requires_grad for each in (found.logits, *found.maps.values()))


def test_layers_followed_by_work_in_place_are_read_before_it():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
    ).append(nn.Flatten())
    separate = [compute_class_maps(network, [layer], INPUTS, TARGETS).maps for layer in ("0", "2")]
    together = compute_class_maps(network.requires_grad_(False), ["0", "2"], INPUTS, TARGETS).maps
    for key, maps in (separate[0] | separate[1]).items():
        assert torch.allclose(together[key], maps, atol=1e-5)


@pytest.mark.parametrize("layer", ["blocks.99", "classifier"])
def test_a_layer_without_maps_is_refused_and_no_hook_stays(layer):
    network = frozen_network()
    with pytest.raises(CheckpointError, match=layer):
        compute_class_maps(network, ["bn2", layer], INPUTS, TARGETS)
    assert not find_layer(network, "bn2")._forward_hooks
