import pytest
import torch
from torch.nn import functional

from model.errors import CheckpointError
from model.networks.gradcam import GradCam
from tests.samples.phantoms import create_tiny_network
from training.learning.learner import Learner, class_activation_maps, compute_features
from training.learning.losses import feature_distance
from training.recipe_files import load_recipe

INPUTS = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_maps_are_those_that_gradcam_explains():
    network = create_tiny_network()
    labels = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        features = network.forward_features(INPUTS)  # type: ignore[operator]
        maps = class_activation_maps(network, features, functional.one_hot(labels).float()).relu()
    served = GradCam(create_tiny_network(), "bn2")(INPUTS, labels)[1].flatten(1)
    for ours, theirs in zip(maps.flatten(1), served, strict=True):
        if ours.std() > 0:
            assert torch.allclose((ours - ours.min()) / (ours.max() - ours.min()), theirs, atol=1e-4)


def test_outputs_of_layers_are_those_that_the_network_computes_and_nothing_keeps_listening():
    network = create_tiny_network().eval()
    with torch.no_grad():
        first, last = compute_features(network, INPUTS, ["blocks.0"])
        assert torch.equal(first, network.blocks[0](network.bn1(network.conv_stem(INPUTS))))  # type: ignore[index,operator]
        assert torch.equal(last, network.forward_features(INPUTS))  # type: ignore[operator]
    assert not any(module._forward_hooks for module in network.modules())


def test_a_teachers_own_copy_agrees_with_it_in_every_layer():
    recipe = load_recipe("efficientnet_b0", {"feature_weight": 1.0, "feature_layers": ("blocks.0", "blocks.-1")})
    teacher = create_tiny_network().eval()
    learner = Learner(create_tiny_network(), recipe, [teacher]).eval()
    with torch.no_grad():
        projected = learner(INPUTS, torch.eye(3)[[0, 1, 2, 0]]).projected
        theirs = compute_features(teacher, INPUTS, recipe.feature_layers)
    for ours, values in zip(projected, theirs, strict=True):
        assert feature_distance(ours, values).item() == pytest.approx(0, abs=1e-5)


def test_a_layer_that_a_network_lacks_is_an_error():
    recipe = load_recipe("efficientnet_b0", {"feature_weight": 1.0, "feature_layers": ("blocks.99",)})
    with pytest.raises(CheckpointError, match=r"blocks\.99"):
        Learner(create_tiny_network(), recipe, [create_tiny_network(1)])
