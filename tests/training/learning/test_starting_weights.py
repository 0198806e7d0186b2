import pytest
import torch

from model.errors import CheckpointError
from model.networks.network import create_network
from tests.samples.phantoms import CLASSES, TINY, create_tiny_network, save_tiny_checkpoint
from training.errors import RecipeError
from training.learning.starting_weights import (
    check_networks,
    copy_matching_weights,
    create_training_network,
    load_teachers,
    start_from_file,
)
from training.recipe_files import load_recipe


@pytest.fixture
def file(tmp_path):
    weights = {k: v for k, v in create_tiny_network(5).state_dict().items() if not k.startswith("classifier")}
    torch.save(weights, tmp_path / "timm.pth")
    return tmp_path / "timm.pth"


def test_a_file_of_timm_weights_fills_all_but_the_classifier(file):
    network, source = create_tiny_network(0), create_tiny_network(5)
    classifier = network.get_parameter("classifier.weight").clone()
    start_from_file(network, file)
    assert torch.equal(network.get_parameter("conv_head.weight"), source.get_parameter("conv_head.weight"))
    assert torch.equal(network.get_parameter("classifier.weight"), classifier)


def test_weights_without_squeeze_and_excitation_start_with_open_gates(tmp_path, caplog):
    source, network = create_tiny_network(5), create_tiny_network(0)
    gates = {name for name in network.state_dict() if ".se." in name}
    assert gates
    weights = {name: tensor for name, tensor in source.state_dict().items() if name not in gates}
    torch.save(weights, tmp_path / "lite.pth")
    with caplog.at_level("INFO"):
        start_from_file(network, tmp_path / "lite.pth")
    assert "open gates" in caplog.text
    inputs = torch.randn(2, 3, 64, 64)
    plain = create_tiny_network(5)
    for name, module in plain.named_modules():
        if name.endswith(".se") and list(module.children()):
            module.register_forward_hook(lambda _module, inputs, _output: inputs[0] * torch.sigmoid(torch.tensor(4.0)))
    found, expected = (each.eval().forward_features(inputs) for each in (network, plain))  # type: ignore[operator]
    assert torch.allclose(found, expected, atol=1e-5)
    del weights["conv_head.weight"]
    torch.save(weights, tmp_path / "lite.pth")
    with pytest.raises(CheckpointError, match=r"does not fit.*conv_head\.weight"):
        start_from_file(network, tmp_path / "lite.pth")


def test_a_file_of_another_architecture_is_refused(file):
    with pytest.raises(CheckpointError, match="does not fit"):
        start_from_file(create_network("test_resnet", 3), file)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architecture": "compact_cnn", "gradcam_layer": "blocks.0", "location_weight": 0.1}, "location_weight"),
        ({"architecture": "test_vit", "gradcam_layer": "blocks.0", "location_weight": 0.1}, "location_weight"),
        ({"architecture": "test_vit", "gradcam_layer": "blocks.0", "feature_weight": 0.1}, "feature_weight"),
        ({"output": "sigmoid", "location_weight": 0.1}, "location_weight"),
        ({"architecture": "test_vit", "gradcam_layer": "blocks.0"}, "gradcam_layer"),
        ({"gradcam_layer": "classifier"}, "gradcam_layer"),
        ({"architecture": "vit_tiny_patch16_224", "gradcam_layer": "blocks.0"}, "64 pixels"),
    ],
)
def test_what_a_network_cannot_do_is_named_before_it_learns(changes, named):
    changes = {"architecture": TINY, "stages": [{"epochs": 1, "image_size": 64}], **changes}
    recipe = load_recipe("efficientnet_b0_scratch", changes)
    network = create_training_network(recipe, 2, pretrained=False)
    with pytest.raises((CheckpointError, RecipeError), match=named):
        check_networks(network, [], recipe)


def test_a_trial_leaves_the_network_as_it_was():
    recipe = load_recipe("efficientnet_b0_scratch", {"architecture": TINY, "location_weight": 0.1})
    network = create_training_network(recipe, 2, pretrained=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    check_networks(network, [network], recipe)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_without_stochastic_depth_is_named():
    with pytest.raises(CheckpointError, match="drop_path"):
        create_network("vgg11", 2, drop_path=0.1)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(CheckpointError):
        start_from_file(create_tiny_network(), tmp_path / "bad.pth")


def test_what_fits_is_copied_and_small_kernels_go_into_the_middle():
    student, teacher = create_tiny_network(0), create_tiny_network(5)
    name = "blocks.0.0.conv.weight"
    small = teacher.get_parameter(name)
    layer = student.get_submodule("blocks.0.0.conv")
    layer.weight = torch.nn.Parameter(torch.randn(*small.shape[:2], 5, 5))
    classifier = student.get_parameter("classifier.weight").clone()
    assert copy_matching_weights(student, teacher) > 10
    assert torch.equal(student.get_parameter("conv_head.weight"), teacher.get_parameter("conv_head.weight"))
    assert torch.equal(student.get_parameter(name)[:, :, 1:-1, 1:-1], small)
    assert student.get_parameter(name).abs().sum().item() == pytest.approx(small.abs().sum().item(), rel=1e-5)
    assert torch.equal(student.get_parameter("classifier.weight"), classifier)


def test_a_teacher_of_which_nothing_fits_is_an_error():
    with pytest.raises(CheckpointError, match="nothing"):
        copy_matching_weights(create_network("test_resnet", 3), create_tiny_network())


def test_teachers_come_frozen_and_in_order(tmp_path):
    paths = [str(save_tiny_checkpoint(tmp_path / f"{name}.pth")) for name in "ab"]
    teachers = load_teachers(load_recipe("efficientnet_b0", {"teacher": paths}), CLASSES)
    assert len(teachers) == 2
    assert not any(
        parameter.requires_grad or teacher.training for teacher in teachers for parameter in teacher.parameters()
    )


def test_a_teacher_of_other_classes_or_other_inputs_is_refused(tmp_path):
    path = str(save_tiny_checkpoint(tmp_path / "t.pth"))
    with pytest.raises(RecipeError, match="classes"):
        load_teachers(load_recipe("efficientnet_b0", {"teacher": path}), ("a", "b"))
    with pytest.raises(RecipeError, match="mean and std"):
        load_teachers(load_recipe("efficientnet_b0", {"teacher": path, "mean": [0.5, 0.5, 0.5]}), CLASSES)


def test_a_network_for_one_size_does_not_grow_its_images():
    stages = [{"epochs": 1, "image_size": 64}, {"epochs": 1, "image_size": 96}]
    with pytest.raises(RecipeError, match="compact_cnn takes images of one size"):
        create_training_network(load_recipe("compact_cnn", {"stages": stages}), 4, pretrained=False)


def test_a_backbone_keeps_its_names_whatever_head_it_gets(tmp_path):
    """So that timm's weights fit."""
    recipe = load_recipe("resnet50v2_two_stage", {"architecture": "test_resnet", "gradcam_layer": "layer4"})
    source, network = create_network("test_resnet", 9), create_training_network(recipe, 4, pretrained=False)
    weights = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("fc.")}
    torch.save(weights, tmp_path / "timm.pth")
    start_from_file(network, tmp_path / "timm.pth")
    assert torch.equal(network.get_parameter("layer1.0.conv1.weight"), source.get_parameter("layer1.0.conv1.weight"))
    assert network.get_parameter("fc.output.weight").shape == (4, recipe.hidden_units)
