import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.samples.phantoms import create_tiny_network
from training.data.boxes import Box
from training.learning.learner import Learner, class_activation_maps, compute_features
from training.learning.losses import distillation_loss, feature_distance, location_loss
from training.learning.objective import Batch, Objective
from training.recipe_files import load_recipe


def _batch():
    generator = torch.Generator().manual_seed(1)
    box = torch.from_numpy(Box(0.2, 0.2, 0.6, 0.7).coverage(28, 28))
    inputs = torch.randn(4, 3, 64, 64, generator=generator)
    classes, kinds = torch.eye(3)[torch.arange(4) % 3], torch.eye(3)[:1].expand(4, 3)
    return Batch(inputs, classes, kinds, box.expand(4, 28, 28))


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
