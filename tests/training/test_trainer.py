import copy
import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from tests.phantoms import create_tiny_network
from training.recipe import load_recipe
from training.trainer import Trainer, cosine_rate

CPU = torch.device("cpu")
STAGES = [{"epochs": 10, "image_size": 64}]


def _batch():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 3, 64, 64, generator=generator)
    labels = torch.arange(12) % 3
    return inputs + labels[:, None, None, None], labels


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b0_scratch"])
def test_the_loss_falls(name):
    trainer = Trainer(create_tiny_network(), load_recipe(name, {"stages": STAGES}), CPU)
    scores = [list(trainer.train([_batch()], epoch, 1))[-1] for epoch in range(10)]
    assert scores[-1].loss < 0.7 * scores[0].loss
    assert scores[-1].accuracy > scores[0].accuracy


def test_validation_changes_nothing_and_is_the_mean_cross_entropy():
    trainer = Trainer(create_tiny_network(), load_recipe("efficientnet_b0", {}), CPU)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    inputs, labels = _batch()
    score = trainer.validate([(inputs[:5], labels[:5]), (inputs[5:], labels[5:])])
    expected = torch.nn.functional.cross_entropy(trainer.network(inputs), labels)
    assert score.loss == pytest.approx(expected.item(), abs=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.network.state_dict().items())


def test_a_plateau_lowers_the_rate():
    recipe = load_recipe("efficientnet_b0", {"plateau_patience": 1, "plateau_factor": 0.5})
    trainer = Trainer(create_tiny_network(), recipe, CPU)
    rates = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.8):
        trainer.end_epoch(loss)
        rates.append(trainer.learning_rate)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4])


def test_the_cosine_is_torchs_and_follows_a_linear_warm_up():
    recipe = load_recipe("efficientnet_b0", {"schedule": "cosine", "warmup_epochs": 2, "stages": STAGES})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    theirs = CosineAnnealingLR(optimizer, T_max=8)
    assert cosine_rate(recipe, 1.0) == pytest.approx(recipe.learning_rate / 2)
    for epoch in range(2, 10):
        assert cosine_rate(recipe, epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert math.isclose(cosine_rate(recipe, 10.0), 0, abs_tol=1e-12)


def test_a_restored_trainer_goes_on_as_if_nothing_had_happened():
    recipe = load_recipe("efficientnet_b0", {"stages": STAGES})
    one, other = (Trainer(create_tiny_network(seed), recipe, CPU) for seed in (0, 1))
    list(one.train([_batch()], 0, 1))
    one.end_epoch(1.0)
    other.restore(copy.deepcopy(one.state()))
    for trainer in (one, other):
        list(trainer.train([_batch()], 1, 1))
    for ours, theirs in zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
