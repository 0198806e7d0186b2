import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.samples.phantoms import LAYERS, TINY_SIZE, create_tiny_network
from training.localization.weight_randomization import randomize_cascading, rank_correlation

INPUTS = torch.randn(4, 3, TINY_SIZE, TINY_SIZE, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1, 2, 0])


@pytest.fixture(scope="module")
def steps():
    return randomize_cascading(create_tiny_network(), LAYERS, INPUTS, TARGETS)


def test_it_goes_from_the_classifier_down_to_the_first_layer(steps):
    names = [step.module for step in steps]
    assert names[0] == "classifier"
    assert names[-1] == "conv_stem"
    assert names.index("blocks.4") < names.index("blocks.0")


def test_the_maps_of_a_random_network_are_others(steps):
    assert all(abs(steps[-1].rank_correlation[layer]) < 0.7 for layer in LAYERS)
    assert all(-1 <= value <= 1 for step in steps for value in step.rank_correlation.values())


def test_it_is_the_same_every_time_and_leaves_the_network_alone(steps):
    network = create_tiny_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert randomize_cascading(network, LAYERS, INPUTS, TARGETS) == steps
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_rank_correlation_equals_scipys():
    maps, others = np.random.default_rng(0).integers(0, 6, (2, 5, 7, 7)).astype(np.float32)  # with ties
    expected = np.mean([spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(maps, others, strict=True)])
    assert rank_correlation(maps, others) == pytest.approx(expected)


def test_rank_correlation_of_a_map_with_itself_is_1_and_with_a_flat_one_0():
    maps = np.random.default_rng(0).random((3, 7, 7), np.float32)
    assert rank_correlation(maps, maps**3) == pytest.approx(1)
    assert rank_correlation(maps, -maps) == pytest.approx(-1)
    assert rank_correlation(maps, np.zeros_like(maps)) == 0
