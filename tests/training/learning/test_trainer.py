import copy
import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from tests.samples.phantoms import create_tiny_network
from training.learning.objective import Batch
from training.learning.trainer import Trainer, cosine_rate
from training.recipe_files import load_recipe

CPU = torch.device("cpu")
STAGES = [{"epochs": 10, "image_size": 64}]


def _batch():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 3, 64, 64, generator=generator)
    labels = torch.arange(12) % 3
    classes = torch.nn.functional.one_hot(labels).float()
    return Batch(inputs + labels[:, None, None, None], classes, torch.ones(12, 3), torch.zeros(12, 28, 28))


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b0_scratch"])
def test_the_loss_falls(name):
    trainer = Trainer(create_tiny_network(), load_recipe(name, {"stages": STAGES}), CPU)
    scores = [list(trainer.train([_batch()], epoch, 1))[-1] for epoch in range(10)]
    assert scores[-1].loss < 0.7 * scores[0].loss
    assert scores[-1].accuracy > scores[0].accuracy


def test_validation_changes_nothing_and_is_the_mean_cross_entropy():
    trainer = Trainer(create_tiny_network(), load_recipe("efficientnet_b0", {}), CPU)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    batch = _batch()
    values = (batch.inputs, batch.classes, batch.kinds, batch.locations)
    parts = [Batch(*(value[part] for value in values)) for part in (slice(5), slice(5, 12))]
    score = trainer.validate(parts)
    expected = torch.nn.functional.cross_entropy(trainer.network(batch.inputs), batch.classes)
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


@pytest.mark.parametrize("changes", [{}, {"average_decay": 0.9, "feature_weight": 1.0, "distillation_weight": 0.5}])
def test_a_restored_trainer_goes_on_as_if_nothing_had_happened(changes):
    recipe = load_recipe("efficientnet_b0", {"stages": STAGES, **changes})
    teachers = [create_tiny_network(7)] if changes else []
    one, other = (Trainer(create_tiny_network(seed), recipe, CPU, teachers) for seed in (0, 1))
    list(one.train([_batch()], 0, 1))
    one.end_epoch(1.0)
    other.restore(copy.deepcopy(one.state()))
    for trainer in (one, other):
        list(trainer.train([_batch()], 1, 1))
    for ours, theirs in zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_restored_plateau_has_not_forgotten_how_long_it_lasts():
    recipe = load_recipe("efficientnet_b0", {"stages": STAGES, "plateau_patience": 1})
    one, other = (Trainer(create_tiny_network(), recipe, CPU) for _ in range(2))
    for loss in (0.5, 0.6):
        one.end_epoch(loss)
    other.restore(copy.deepcopy(one.state()))
    other.end_epoch(0.6)
    assert other.learning_rate == recipe.learning_rate * recipe.plateau_factor


def test_the_average_follows_the_weights_exponentially():
    recipe = load_recipe("efficientnet_b0", {"stages": STAGES, "average_decay": 0.75})
    averaged, plain = (
        Trainer(create_tiny_network(), load_recipe("efficientnet_b0", {"stages": STAGES, **changes}), CPU)
        for changes in ({"average_decay": recipe.average_decay}, {})
    )
    expected = torch.zeros(0)
    for _ in range(3):
        for trainer in (averaged, plain):
            list(trainer.train([_batch()], 0, 1))
        weight = plain.network.get_parameter("conv_head.weight").detach().clone()
        expected = weight if not len(expected) else 0.75 * expected + 0.25 * weight
    assert torch.allclose(averaged.network.get_parameter("conv_head.weight"), expected, atol=1e-6)


def test_biases_and_norms_do_not_decay():
    trainer = Trainer(create_tiny_network(), load_recipe("efficientnet_b0", {"weight_decay": 0.3}), CPU)
    kernels, others = trainer.state()["optimizer"]["param_groups"]
    assert (kernels["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert len(kernels["params"]) + len(others["params"]) == len(list(trainer.network.parameters()))


def test_long_gradients_are_shortened():
    weights = []
    for limit in (1e-9, None):
        recipe = load_recipe("efficientnet_b0", {"stages": STAGES, "max_gradient_norm": limit, "weight_decay": 0.0})
        network = create_tiny_network()
        before = network.get_parameter("conv_head.weight").detach().clone()
        list(Trainer(network, recipe, CPU).train([_batch()], 0, 1))
        weights.append((network.get_parameter("conv_head.weight") - before).abs().max().item())
    assert weights[0] < weights[1]


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_on_a_cpu_that_has_it_learns_too(monkeypatch, has_bfloat16, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bfloat16})
    recipe = load_recipe("efficientnet_b0", {"stages": STAGES, "cpu_bfloat16": "always"})
    network = create_tiny_network()
    computed = set()
    network.get_submodule("conv_head").register_forward_hook(lambda _, inputs, output: computed.add(output.dtype))
    trainer = Trainer(network, recipe, CPU)
    scores = [list(trainer.train([_batch()], epoch, 1))[-1] for epoch in range(10)]
    assert scores[-1].loss < 0.7 * scores[0].loss
    assert computed == {expected}


def test_adam_takes_the_decay_as_a_penalty():
    recipe = load_recipe("efficientnet_b0", {"optimizer": "adam", "weight_decay": 0.1, "stages": STAGES})
    trainer = Trainer(create_tiny_network(), recipe, CPU)
    assert type(trainer._optimizer) is torch.optim.Adam
    assert trainer.learning_rate == recipe.learning_rate
    assert list(trainer.train([_batch()], 0, 1))[-1].loss > 0


def test_a_stage_with_its_own_rate_starts_anew_and_another_goes_on():
    stages = [{"epochs": 1, "image_size": 64}, {"epochs": 1, "image_size": 64, "learning_rate": 1e-5}]
    recipe = load_recipe("efficientnet_b0", {"stages": stages})
    trainer = Trainer(create_tiny_network(), recipe, CPU)
    trainer.enter_stage(recipe.stages[0], is_new=True)
    list(trainer.train([_batch()], 0, 1))
    assert trainer.state()["optimizer"]["state"]
    trainer.enter_stage(recipe.stages[1], is_new=False)  # resumed within it
    assert trainer.state()["optimizer"]["state"]
    trainer.enter_stage(recipe.stages[1], is_new=True)
    assert trainer.learning_rate == 1e-5
    assert not trainer.state()["optimizer"]["state"]


def test_losses_of_an_earlier_stage_make_no_plateau():
    stages = [{"epochs": 1, "image_size": 32}, {"epochs": 2, "image_size": 64}]
    recipe = load_recipe("efficientnet_b0", {"stages": stages, "plateau_patience": 0})
    trainer = Trainer(create_tiny_network(), recipe, CPU)
    trainer.enter_stage(recipe.stages[0], is_new=True)
    trainer.end_epoch(0.1)
    trainer.enter_stage(recipe.stages[1], is_new=True)
    trainer.end_epoch(0.5)  # higher, but at another size
    assert trainer.learning_rate == recipe.learning_rate
    trainer.end_epoch(0.6)
    assert trainer.learning_rate == recipe.plateau_factor * recipe.learning_rate


def test_what_is_frozen_keeps_its_weights_and_its_statistics():
    stage = {"epochs": 1, "image_size": 64, "trained_layers": 2}
    recipe = load_recipe("efficientnet_b0", {"stages": [stage], "weight_decay": 0.5})
    network = create_tiny_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer = Trainer(network, recipe, CPU)
    trainer.enter_stage(recipe.stages[0], is_new=True)
    list(trainer.train([_batch()], 0, 1))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == {"conv_head", "bn2", "classifier"}
    assert "bn2.running_mean" in changed
