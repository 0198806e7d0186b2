import math

import pytest
import torch
from torch.nn import functional

from training.data.boxes import Box
from training.learning.losses import distillation_loss, feature_distance, location_loss, partial_label_loss

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


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
    maps = torch.randn(4, 7, 7)
    locations = torch.from_numpy(Box(0.2, 0.2, 0.6, 0.7).coverage(28, 28)).repeat(4, 1, 1)
    locations[1] = 0
    halves = [location_loss(maps[part], locations[part]) for part in (slice(2), slice(2, 4))]
    assert torch.stack(halves).mean().item() == pytest.approx(location_loss(maps, locations).item(), rel=1e-5)
