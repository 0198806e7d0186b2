"""Scans as tensors: decoded once a stage, augmented again every epoch, the same for any number of workers."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.card import Preprocessing
from model.host.allocator import give_back_freed_memory
from model.images.decoded import ImageArray
from model.preprocessing import normalize_image, resize_image
from training.data.boxes import Box
from training.data.reading import read_image, read_in_threads
from training.data.scans import Scan
from training.fitting.augmentation import augment
from training.fitting.objective import LOCATION_GRID, Batch
from training.fitting.processes import ALONE, Processes
from training.recipe import Augmentation

_MIN_BOX_SIDE = 0.02  # what is left of a box after augmentation, part of the image's side

Sample = tuple[Tensor, int, Tensor]


class ScanDataset(Dataset[Sample]):
    """Labelled inputs, held in memory as 8-bit images of the stage's size (50 KB a grey scan at 224)."""

    def __init__(
        self,
        scans: Sequence[Scan],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        boxes: Mapping[Path, Box] | None = None,
        seed: int = 0,
    ) -> None:
        """Decode and resize all scans; each is augmented again whenever it is read."""
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed
        self._labels = [scan.label for scan in scans]
        self._boxes = [(boxes or {}).get(scan.path) for scan in scans]
        self._images = read_in_threads(self._read, scans, "decoding", "scan")

    def __len__(self) -> int:
        """Count the scans."""
        return len(self._images)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Read a scan by its key, epoch and index: inputs (3, S, S), its label, and its tumour's location (28, 28).

        Key and seed decide how the scan is augmented.
        """
        epoch, index = key
        image, box = self._images[index], self._boxes[index]
        if self._augmentation is not None:
            image, pose = augment(image, self._augmentation, np.random.default_rng([self._seed, epoch, index]))
            box = pose.move_box(box) if box else None
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        inputs = torch.from_numpy(normalize_image(image, self._preprocessing))
        return inputs, self._labels[index], _locate(box)

    def _read(self, scan: Scan) -> ImageArray:
        image = resize_image(read_image(scan.path).image, self._preprocessing)
        return image[:, :, 0].copy() if self._preprocessing.color == "grey" else image


def _locate(box: Box | None) -> Tensor:
    if box is None or min(box.x1 - box.x0, box.y1 - box.y0) < _MIN_BOX_SIDE:
        return torch.zeros(LOCATION_GRID, LOCATION_GRID)
    return torch.from_numpy(box.coverage(LOCATION_GRID, LOCATION_GRID))


def order_epoch(
    num_scans: int, batch_size: int, epoch: int, seed: int | None = None, processes: Processes = ALONE
) -> list[tuple[int, int]]:
    """List the keys (epoch, index) of one epoch, or one process's share of them: every n-th image of every batch.

    Where a seed is given they are shuffled, and an incomplete last batch is dropped, whose statistics would be wild.
    """
    order = np.arange(num_scans)
    if seed is not None:
        np.random.default_rng([seed, epoch]).shuffle(order)
        whole = num_scans // batch_size * batch_size
        order = order[: whole or num_scans]
    return [(epoch, int(index)) for index in order[processes.rank :: processes.size]]


def create_loader(
    dataset: ScanDataset,
    batch_size: int,
    epoch: int,
    *,
    shuffle_seed: int | None,
    num_workers: int,
    processes: Processes = ALONE,
) -> DataLoader[Batch]:
    """Make the batches of one epoch; `batch_size` is that of all processes together."""
    if num_workers:
        give_back_freed_memory()  # or each worker, forked off, would hold gigabytes of it
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # of samples, which _collate turns into batches
        max(1, batch_size // processes.size),
        sampler=order_epoch(len(dataset), batch_size, epoch, shuffle_seed, processes),
        num_workers=num_workers,
        collate_fn=_collate,
    )


def _collate(samples: Sequence[Sample]) -> Batch:
    inputs, labels, locations = zip(*samples, strict=True)
    return Batch(torch.stack(inputs), torch.tensor(labels), torch.stack(locations))


def derive_seed(*parts: int) -> int:
    """Mix numbers into a 63-bit seed."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
