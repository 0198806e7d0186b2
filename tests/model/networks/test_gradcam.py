from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from model.errors import CheckpointError
from model.networks.gradcam import GradCam, scale_maps
from model.networks.network import find_layer
from tests.samples.phantoms import CLASSES, LAYERS, TINY_SIZE, create_tiny_network

INPUTS = torch.randn(4, 3, TINY_SIZE, TINY_SIZE, generator=torch.Generator().manual_seed(1))


def reference_maps(network, layer, inputs, targets, method=GradCAM):
    """Maps of the layer's own resolution from an independent implementation, in [0, 1]."""
    network = network.requires_grad_(True)
    with method(network, [find_layer(network, layer)]) as cam:
        cam.compute_input_gradient = False
        cam(inputs, [ClassifierOutputTarget(int(target)) for target in targets])
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        maps = cam.get_cam_image(inputs, cam.target_layers[0], targets, activations, gradients, False)
    network.requires_grad_(False)
    maps = np.maximum(maps, 0)
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - low) / (1e-7 * (high == low) + high - low)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("target", range(len(CLASSES)))
def test_maps_equal_the_reference_library(layer, target):
    network = create_tiny_network()
    targets = torch.full((4,), target)
    _, maps = GradCam(network, layer)(INPUTS, targets)
    assert np.abs(maps.numpy() - reference_maps(network, layer, INPUTS, targets)).max() < 1e-3


def test_at_the_last_activation_grad_cam_cam_and_hirescam_coincide():
    network = create_tiny_network()
    targets = torch.tensor([0, 1, 2, 0])
    _, maps = GradCam(network, "bn2")(INPUTS, targets)
    hires = reference_maps(network, "bn2", INPUTS, targets, HiResCAM)
    assert np.abs(maps.numpy() - hires).max() < 1e-3
    features = []
    handle = find_layer(network, "bn2").register_forward_hook(lambda _module, _inputs, output: features.append(output))
    network(INPUTS)
    handle.remove()
    cam = torch.relu(torch.einsum("nc,nchw->nhw", network.get_parameter("classifier.weight")[targets], features[0]))
    assert torch.allclose(maps, scale_maps(cam), atol=1e-3)


def test_minus_one_explains_the_predicted_class():
    cam = GradCam(create_tiny_network(), LAYERS[0])
    logits, maps = cam(INPUTS, torch.full((4,), -1))
    _, expected = cam(INPUTS, logits.argmax(dim=1))
    assert torch.equal(maps, expected)


def test_logits_are_those_of_the_network():
    network = create_tiny_network()
    expected = network(INPUTS)
    logits, _ = GradCam(network, LAYERS[0])(INPUTS, torch.full((4,), -1))
    assert torch.equal(logits, expected.detach())


def test_no_parameter_gets_a_gradient_and_the_network_stays_as_it_was():
    network = create_tiny_network()
    cam = GradCam(network, LAYERS[0])
    before = network(INPUTS)
    logits, maps = cam(INPUTS, torch.tensor([0, 1, 2, 0]))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not logits.requires_grad
    assert not maps.requires_grad
    assert torch.equal(network(INPUTS), before)


def test_it_works_inside_no_grad():
    cam = GradCam(create_tiny_network(), LAYERS[0])
    expected = cam(INPUTS, torch.zeros(4, dtype=torch.int64))[1]
    with torch.no_grad():
        assert torch.equal(cam(INPUTS, torch.zeros(4, dtype=torch.int64))[1], expected)


def test_each_image_of_a_batch_gets_the_map_it_gets_alone():
    cam = GradCam(create_tiny_network(), LAYERS[0])
    targets = torch.tensor([0, 1, 2, -1])
    _, maps = cam(INPUTS, targets)
    for index in range(4):
        _, alone = cam(INPUTS[index : index + 1], targets[index : index + 1])
        assert torch.allclose(maps[index], alone[0], atol=1e-4)


def test_eight_threads_get_the_maps_that_one_gets():
    network = create_tiny_network()
    cams = [GradCam(network, layer) for layer in LAYERS]  # two taps in one network do not mix either
    jobs = [(cam, INPUTS[i : i + 1], torch.tensor([t])) for cam in cams for i in range(4) for t in range(3)] * 8
    expected = [cam(inputs, target)[1] for cam, inputs, target in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: job[0](job[1], job[2])[1], jobs))
    assert all(torch.allclose(ours, theirs, atol=1e-5) for ours, theirs in zip(found, expected, strict=True))


class _SpotNetwork(nn.Module):
    """Class 1 is brightness, class 0 its opposite."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        self.features.weight.data.fill_(1.0)

    def forward(self, inputs):
        pooled = torch.relu(self.features(inputs)).mean(dim=(1, 2, 3))
        return torch.stack([-pooled, pooled], dim=1)


def test_a_planted_signal_is_found():
    inputs = torch.zeros(1, 3, 8, 8)
    inputs[0, :, 2, 5] = 1
    _, maps = GradCam(_SpotNetwork(), "features")(inputs, torch.tensor([1]))
    assert maps[0, 2, 5] == 1
    assert maps[0].sum() == 1


def test_a_map_without_evidence_stays_dark():
    inputs = torch.ones(2, 3, 8, 8)
    _, maps = GradCam(_SpotNetwork(), "features")(inputs, torch.tensor([0, 1]))  # none for 0, the same everywhere for 1
    assert not maps.any()


def test_a_nearly_flat_map_is_not_stretched():
    ripple = 1 + 1e-4 * torch.rand(1, 7, 7)
    assert not scale_maps(ripple).any()
    assert scale_maps(torch.rand(1, 7, 7)).max() == 1


def test_an_unknown_layer_is_refused():
    with pytest.raises(CheckpointError, match=r"blocks\.99"):
        GradCam(create_tiny_network(), "blocks.99")
