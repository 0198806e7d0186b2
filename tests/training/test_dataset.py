import numpy as np
import pytest
import torch

from model.card import Preprocessing
from model.preprocessing import decode_image, preprocess_image
from training.augmentation import create_augmentation
from training.dataset import EpochSampler, ScanDataset, create_loader, derive_seed
from training.recipe import Augmentation
from training.scans import find_scans


@pytest.fixture(scope="module")
def scans(data_folder):
    return find_scans(data_folder, "Training").scans


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_without_augmentation_inputs_equal_those_of_serving_to_the_bit(scans, color):
    preprocessing = Preprocessing(input_size=40, color=color)
    dataset = ScanDataset(scans, preprocessing)
    for index in (0, len(scans) - 1):
        inputs, label = dataset[0, index]
        served = preprocess_image(decode_image(scans[index].path.read_bytes()).image, preprocessing)[0]
        assert np.array_equal(inputs.numpy(), served)
        assert label == scans[index].label


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_the_same_for_any_number_of_workers(scans, num_workers):
    augment = create_augmentation(Augmentation(rotation=20, translation=0.1))
    dataset = ScanDataset(scans, Preprocessing(input_size=32), augment, seed=3)
    loaders = [create_loader(dataset, 5, 2, shuffle_seed=1, num_workers=workers) for workers in (0, num_workers)]
    for (ours, labels), (theirs, their_labels) in zip(*loaders, strict=True):
        assert torch.equal(ours, theirs)
        assert torch.equal(labels, their_labels)


def test_augmentation_differs_by_epoch_and_leaves_the_global_generator_alone(scans):
    dataset = ScanDataset(scans, Preprocessing(input_size=32), create_augmentation(Augmentation(rotation=20)), seed=3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = dataset[0, 0][0], dataset[1, 0][0]
    assert not torch.equal(first, second)
    assert torch.equal(torch.rand(3), expected)


def test_every_scan_comes_once_an_epoch_in_a_new_order():
    orders = [[index for _, index in EpochSampler(50, epoch, seed=1)] for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(50))
    assert orders[0] == orders[1] != orders[2]
    assert [index for _, index in EpochSampler(5, 0)] == [0, 1, 2, 3, 4]


def test_an_incomplete_batch_is_dropped_only_in_training(scans):
    dataset = ScanDataset(scans, Preprocessing(input_size=32))
    assert sum(len(labels) for _, labels in create_loader(dataset, 7, 0, shuffle_seed=0, num_workers=0)) == 21
    assert sum(len(labels) for _, labels in create_loader(dataset, 7, 0, shuffle_seed=None, num_workers=0)) == 24


def test_derived_seeds_differ():
    assert len({derive_seed(a, b) for a in range(30) for b in range(30)}) == 900
