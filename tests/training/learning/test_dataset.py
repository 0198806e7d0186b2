import errno
import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from model.card import Preprocessing
from model.decoding import decode_image
from model.preprocessing import preprocess_image
from training.data.boxes import Box
from training.data.coarse import CoarseScan
from training.data.possible_labels import PossibleLabels
from training.data.scans import Scan, find_scans
from training.errors import WorkerError
from training.learning.dataset import (
    ScanDataset,
    create_loader,
    derive_seed,
    normalize_images,
    order_epoch,
    report_dead_workers,
)
from training.learning.processes import Processes
from training.recipe import Augmentation

EITHER_MR = (0, 1)
POSSIBLE = PossibleLabels(4, ((0,), (0,), EITHER_MR, (0,)))


@pytest.fixture(scope="module")
def scans(data_folder):
    return find_scans(data_folder, "Training").scans


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_without_augmentation_inputs_equal_those_of_serving_to_the_bit(scans, color):
    preprocessing = Preprocessing(input_size=40, color=color, mean=(0.1, 0.5, 0.485), std=(0.3, 0.225, 1.0))
    dataset = ScanDataset(scans, preprocessing, POSSIBLE)
    for index in (0, len(scans) - 1):
        image, classes, _, location = dataset[0, index]
        inputs = normalize_images(torch.from_numpy(image[None].copy()), preprocessing)
        served = preprocess_image(decode_image(scans[index].path.read_bytes()).image, preprocessing)
        assert np.array_equal(inputs.numpy(), served)
        assert classes.nonzero()[0].tolist() == [scans[index].label]
        assert not location.any()


@pytest.mark.parametrize("num_workers", [1])
def test_batches_are_the_same_for_any_number_of_workers(scans, num_workers):
    dataset = ScanDataset(scans, Preprocessing(input_size=32), POSSIBLE, Augmentation(rotation=20, noise=1.0), seed=3)
    loaders = [create_loader(dataset, 5, 2, shuffle_seed=1, num_workers=workers) for workers in (0, num_workers)]
    for ours, theirs in zip(*loaders, strict=True):
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.classes, theirs.classes)


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_workers_send_8_bit_images_without_shared_memory(scans, color):
    """Tensors would go through /dev/shm, of which containers have 64 MB; a full one must not end a run."""
    dataset = ScanDataset(scans, Preprocessing(input_size=64, color=color), POSSIBLE)
    (arrays,) = create_loader(dataset, len(scans), 0, shuffle_seed=None, num_workers=0).arrays
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert arrays[0].nbytes == len(scans) * 64 * 64 * (1 if color == "grey" else 3)


def _raise(_):
    raise MemoryError("no room for 34 MB")


def _die(_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("act", "reason"), [(_raise, "MemoryError.*34 MB"), (_die, "Killed|exited")])
def test_a_worker_that_fails_or_is_killed_ends_the_run_in_one_line(scans, act, reason, monkeypatch):
    monkeypatch.setattr("training.learning.dataset._locate", act)
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))  # instead of 5 s
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    dataset = ScanDataset(scans, Preprocessing(input_size=32), POSSIBLE)
    with pytest.raises(WorkerError, match=rf"^[^\n]*({reason})[^\n]*--num-workers 0[^\n]*$"), report_dead_workers():
        list(create_loader(dataset, 4, 0, shuffle_seed=None, num_workers=2))


def test_workers_that_cannot_be_started_end_the_run_in_one_line(scans, monkeypatch):
    dataset = ScanDataset(scans, Preprocessing(input_size=32), POSSIBLE)

    def refuse():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("multiprocessing.Lock", refuse)
    with pytest.raises(WorkerError, match=r"No space left.*--num-workers 0"):
        next(iter(create_loader(dataset, 4, 0, shuffle_seed=None, num_workers=2)))


def test_other_errors_are_not_taken_for_those_of_workers():
    with pytest.raises(RuntimeError, match=r"^another$"), report_dead_workers():
        raise RuntimeError("another")


def test_augmentation_differs_by_epoch_and_leaves_the_global_generator_alone(scans):
    dataset = ScanDataset(scans, Preprocessing(input_size=32), POSSIBLE, Augmentation(rotation=20), seed=3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = dataset[0, 0][0], dataset[1, 0][0]
    assert not np.array_equal(first, second)
    assert torch.equal(torch.rand(3), expected)


def test_every_scan_comes_once_an_epoch_in_a_new_order():
    orders = [[index for _, index in order_epoch(50, 10, epoch, seed=1)] for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(50))
    assert orders[0] == orders[1] != orders[2]
    assert [index for _, index in order_epoch(5, 2, 0)] == [0, 1, 2, 3, 4]


def test_an_incomplete_batch_is_dropped_only_in_training(scans):
    dataset = ScanDataset(scans, Preprocessing(input_size=32), POSSIBLE)
    for seed, expected in ((0, 21), (None, 24)):
        loader = create_loader(dataset, 7, 0, shuffle_seed=seed, num_workers=0)
        assert sum(len(batch.classes) for batch in loader) == expected


def test_what_is_known_of_a_scan_is_marked(scans):
    path = scans[0].path
    tumor = CoarseScan(path, 0, possible=(0, 1, 3), kinds=(1,))
    chest = CoarseScan(path, -1, possible=(), kinds=(2,))
    rows = [tumor, chest, Scan(path, 2)]
    assert POSSIBLE.classes_of(rows).tolist() == [[1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert POSSIBLE.kinds_of(rows).tolist() == [[0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_the_box_moves_with_the_image(scans):
    boxes = {scans[0].path: Box(0.1, 0.2, 0.4, 0.6)}
    still = ScanDataset(scans[:2], Preprocessing(input_size=32), POSSIBLE, None, boxes)
    mirrored = ScanDataset(scans[:2], Preprocessing(input_size=32), POSSIBLE, Augmentation(horizontal_flip=1.0), boxes)
    location = still[0, 0][-1]
    assert location.sum().item() == pytest.approx(0.3 * 0.4 * 28 * 28, rel=1e-4)
    assert np.allclose(mirrored[0, 0][-1], location[:, ::-1], atol=1e-5)
    assert not still[0, 1][-1].any()


@pytest.mark.parametrize("size", [2, 4])
def test_processes_share_every_batch(size):
    whole = order_epoch(50, 8, 3, seed=1)
    shares = [order_epoch(50, 8, 3, seed=1, processes=Processes(rank, size)) for rank in range(size)]
    each = 8 // size
    for batch in range(6):
        shared = [key for share in shares for key in share[batch * each : (batch + 1) * each]]
        assert sorted(shared) == sorted(whole[batch * 8 : (batch + 1) * 8])


def test_derived_seeds_differ():
    assert len({derive_seed(a, b) for a in range(30) for b in range(30)}) == 900
