import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.errors import CheckpointError
from model.networks.gradcam import GradCam
from tests.samples.phantoms import create_tiny_network
from training.data.boxes import Box
from training.learning.objective import (
    Batch,
    Learner,
    Objective,
    class_activation_maps,
    compute_features,
    distillation_loss,
    feature_distance,
    location_loss,
    partial_label_loss,
)
from training.recipe_files import load_recipe

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def _batch(size=64):
    generator = torch.Generator().manual_seed(1)
    box = torch.from_numpy(Box(0.2, 0.2, 0.6, 0.7).coverage(28, 28))
    inputs = torch.randn(4, 3, size, size, generator=generator)
    classes, kinds = torch.eye(3)[torch.arange(4) % 3], torch.eye(3)[:1].expand(4, 3)
    return Batch(inputs, classes, kinds, box.expand(4, 28, 28))


def test_distillation_is_the_divergence_of_softened_probabilities():
    opinion = LOGITS.flip(0)
    expected = 0.0
    for ours, theirs in zip(LOGITS.double().tolist(), opinion.double().tolist(), strict=True):
        q = [math.exp(value / 3) / sum(math.exp(other / 3) for other in ours) for value in ours]
        p = [math.exp(value / 3) / sum(math.exp(other / 3) for other in theirs) for value in theirs]
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert distillation_loss(LOGITS, [opinion], 3.0).item() == pytest.approx(9 * expected / 6, rel=1e-4)


def test_a_partial_label_costs_what_the_union_of_its_classes_costs():
    possible = torch.tensor([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 1]]).float()
    probabilities = LOGITS.double().softmax(dim=1)
    expected = [
        -math.log(sum(p for p, mark in zip(*row, strict=True) if mark)) if any(row[1]) else 0.0
        for row in zip(probabilities.tolist(), possible.tolist(), strict=True)
    ]
    assert partial_label_loss(LOGITS, possible).tolist() == pytest.approx(expected, abs=1e-6)
    labels = torch.tensor([0, 2, 1, 1, 0, 2])
    single = functional.one_hot(labels).float()
    smoothed = functional.cross_entropy(LOGITS, labels, label_smoothing=0.1, reduction="none")
    assert torch.allclose(partial_label_loss(LOGITS, single, 0.1), smoothed)


def test_what_says_nothing_about_classes_teaches_nothing_about_them():
    logits, nothing = LOGITS.clone().requires_grad_(), torch.zeros(6, 3)
    distilled = distillation_loss(logits, [LOGITS.flip(0)], 2.0, nothing)
    (partial_label_loss(logits, nothing, 0.1).sum() + distilled).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_student_that_agrees_has_nothing_to_learn():
    assert distillation_loss(LOGITS, [LOGITS, LOGITS], 2.0).item() == pytest.approx(0, abs=1e-6)
    features = torch.randn(2, 8, 3, 3)
    assert feature_distance(features, 5 * features).item() == pytest.approx(0, abs=1e-6)
    assert feature_distance(features, -features).item() == pytest.approx(2, abs=1e-6)


def test_maps_are_those_that_gradcam_explains():
    network = create_tiny_network()
    inputs, labels = _batch().inputs, torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        features = network.forward_features(inputs)  # type: ignore[operator]
        maps = class_activation_maps(network, features, functional.one_hot(labels).float()).relu()
    served = GradCam(create_tiny_network(), "bn2")(inputs, labels)[1].flatten(1)
    for ours, theirs in zip(maps.flatten(1), served, strict=True):
        if ours.std() > 0:
            assert torch.allclose((ours - ours.min()) / (ours.max() - ours.min()), theirs, atol=1e-4)


def test_evidence_inside_the_box_costs_less_than_outside():
    inside, outside = torch.zeros(1, 7, 7), torch.zeros(1, 7, 7)
    inside[0, 1, 1] = outside[0, 5, 5] = 1.0
    box = torch.from_numpy(Box(0.05, 0.05, 0.4, 0.4).coverage(28, 28))[None]
    assert location_loss(inside, box) < 0.7 < 3 < location_loss(outside, box)
    assert location_loss(100 * inside + 3, box).item() == pytest.approx(location_loss(inside, box).item(), abs=1e-5)


def test_images_without_a_box_and_flat_maps_teach_nothing_and_break_nothing():
    maps = torch.zeros(2, 7, 7, requires_grad=True)
    location_loss(maps, torch.zeros(2, 28, 28)).backward()
    assert maps.grad is not None
    assert not maps.grad.any()
    box = torch.from_numpy(Box(0, 0, 0.5, 1).coverage(28, 28))[None]
    assert location_loss(torch.ones(1, 7, 7), box).item() == pytest.approx(math.log(2), rel=1e-3)


def test_halves_of_a_batch_average_to_the_whole():
    maps, batch = torch.randn(4, 7, 7), _batch()
    locations = batch.locations.clone()
    locations[1] = 0
    halves = [location_loss(maps[part], locations[part]) for part in (slice(2), slice(2, 4))]
    assert torch.stack(halves).mean().item() == pytest.approx(location_loss(maps, locations).item(), rel=1e-5)


def test_the_sum_of_losses_is_the_recipes():
    changes = {
        "distillation_weight": 0.7,
        "distillation_temperature": 2.0,
        "feature_weight": 0.5,
        "location_weight": 0.2,
        "kind_weight": 0.3,
        "label_smoothing": 0.1,
    }
    recipe, teacher, batch = load_recipe("efficientnet_b0", changes), create_tiny_network(1).eval(), _batch()
    learner = Learner(create_tiny_network(), recipe, [teacher]).eval()
    assert learner.kinds is not None
    with torch.no_grad():
        loss, logits = Objective(recipe, [teacher])(learner, batch)
        features = learner.network.forward_features(batch.inputs)  # type: ignore[operator]
        theirs = teacher.forward_features(batch.inputs)  # type: ignore[operator]
        expected = (
            0.3 * functional.cross_entropy(logits, batch.classes.argmax(dim=1), label_smoothing=0.1)
            + 0.7 * distillation_loss(logits, [teacher(batch.inputs)], 2.0)
            + 0.5 * feature_distance(learner.projections[0](features), theirs)
            + 0.3 * functional.cross_entropy(learner.kinds(features.mean(dim=(2, 3))), batch.kinds.argmax(dim=1))
            + 0.2 * location_loss(class_activation_maps(learner.network, features, batch.classes), batch.locations)
        )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(logits, learner.network(batch.inputs), atol=1e-5)


def test_layers_are_compared_with_every_teachers_and_count_alike():
    layers = ("blocks.1", "blocks.0")
    recipe = load_recipe("efficientnet_b0", {"feature_weight": 0.6, "feature_layers": layers})
    teachers, batch = [create_tiny_network(seed).eval() for seed in (1, 2)], _batch()
    learner = Learner(create_tiny_network(), recipe, teachers).eval()
    plain = load_recipe("efficientnet_b0", {})
    with torch.no_grad():
        loss, logits = Objective(recipe, teachers)(learner, batch)
        ours = compute_features(learner.network, batch.inputs, layers)
        theirs = [values for teacher in teachers for values in compute_features(teacher, batch.inputs, layers)]
        distances = [
            feature_distance(project(values), target)
            for project, values, target in zip(learner.projections, ours * 2, theirs, strict=True)
        ]
        expected = Objective(plain, teachers)(Learner(learner.network, plain, teachers).eval(), batch)[0]
    assert len(distances) == 6
    assert loss.item() == pytest.approx((expected + 0.6 * torch.stack(distances).mean()).item(), rel=1e-5)
    assert torch.allclose(logits, learner.network(batch.inputs), atol=1e-5)


def test_outputs_of_layers_are_those_that_the_network_computes_and_nothing_keeps_listening():
    network, inputs = create_tiny_network().eval(), _batch().inputs
    with torch.no_grad():
        first, last = compute_features(network, inputs, ["blocks.0"])
        assert torch.equal(first, network.blocks[0](network.bn1(network.conv_stem(inputs))))  # type: ignore[index,operator]
        assert torch.equal(last, network.forward_features(inputs))  # type: ignore[operator]
    assert not any(module._forward_hooks for module in network.modules())


def test_a_teachers_own_copy_agrees_with_it_in_every_layer():
    recipe = load_recipe("efficientnet_b0", {"feature_weight": 1.0, "feature_layers": ("blocks.0", "blocks.-1")})
    teacher, batch = create_tiny_network().eval(), _batch()
    learner = Learner(create_tiny_network(), recipe, [teacher]).eval()
    with torch.no_grad():
        projected = learner(batch.inputs, batch.classes).projected
        theirs = compute_features(teacher, batch.inputs, recipe.feature_layers)
    for ours, values in zip(projected, theirs, strict=True):
        assert feature_distance(ours, values).item() == pytest.approx(0, abs=1e-5)


def test_a_layer_that_a_network_lacks_is_an_error():
    recipe = load_recipe("efficientnet_b0", {"feature_weight": 1.0, "feature_layers": ("blocks.99",)})
    with pytest.raises(CheckpointError, match=r"blocks\.99"):
        Learner(create_tiny_network(), recipe, [create_tiny_network(1)])


def test_without_a_teacher_it_is_the_cross_entropy():
    recipe, batch = load_recipe("efficientnet_b0", {}), _batch()
    network = create_tiny_network()
    loss, logits = Objective(recipe, [])(Learner(network, recipe, []), batch)
    assert loss.item() == pytest.approx(functional.cross_entropy(logits, batch.classes.argmax(dim=1)).item())


def test_learning_locations_moves_the_evidence_into_the_box():
    torch.manual_seed(0)
    recipe = load_recipe("efficientnet_b0", {"location_weight": 1.0})
    learner, batch = Learner(create_tiny_network(), recipe, []).train(), _batch()
    optimizer = torch.optim.Adam(learner.parameters(), 0.01)
    losses = []
    for _ in range(15):
        loss = location_loss(learner(batch.inputs, batch.classes).maps, batch.locations)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert np.isfinite(losses).all()
