"""Scans as tensors: decoded once a stage, augmented again every epoch, the same for any number of workers.

Workers send 8-bit images as NumPy arrays, which go through pipes: 1.6 MB for a grey batch of 32 at 224 pixels. Tensors
of the inputs would be twelve times as large and go through shared memory, of which a container has 64 MB.
"""

import hashlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.card import Preprocessing
from model.host.allocator import give_back_freed_memory
from model.images.decoded import FloatArray, ImageArray
from model.preprocessing import resize_image
from training.data.boxes import Box
from training.data.possible_labels import PossibleLabels
from training.data.reading import read_image, read_in_threads
from training.data.scans import Scan
from training.errors import Terminated, WorkerError
from training.learning.augmentation import augment
from training.learning.losses import LOCATION_GRID
from training.learning.objective import Batch
from training.learning.processes import ALONE, Processes
from training.recipe import Augmentation

_MIN_BOX_SIDE = 0.02  # what is left of a box after augmentation, part of the image's side

_CPU = torch.device("cpu")

Sample = tuple[ImageArray, FloatArray, FloatArray, FloatArray]  # images, and the other parts of a `Batch`


class ScanDataset(Dataset[Sample]):
    """Labelled inputs, held in memory as 8-bit images of the stage's size (50 KB a grey scan at 224)."""

    def __init__(
        self,
        scans: Sequence[Scan],
        preprocessing: Preprocessing,
        possible: PossibleLabels,
        augmentation: Augmentation | None = None,
        boxes: Mapping[Path, Box] | None = None,
        seed: int = 0,
    ) -> None:
        """Decode and resize all scans; each is augmented again whenever it is read."""
        self.preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed
        self._classes, self._kinds = possible.classes_of(scans), possible.kinds_of(scans)
        self._boxes = [(boxes or {}).get(scan.path) for scan in scans]
        self._images = read_in_threads(self._read, scans, "decoding", "scan")

    def __len__(self) -> int:
        """Count the scans."""
        return len(self._images)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Read a scan by its key, epoch and index: the image (S, S) or (S, S, 3), then what a `Batch` says of it.

        Key and seed decide how the scan is augmented.
        """
        epoch, index = key
        image, box = self._images[index], self._boxes[index]
        if self._augmentation is not None:
            image, pose = augment(image, self._augmentation, np.random.default_rng([self._seed, epoch, index]))
            box = pose.move_box(box) if box else None
        return image, self._classes[index], self._kinds[index], _locate(box)

    def _read(self, scan: Scan) -> ImageArray:
        image = resize_image(read_image(scan.path, grey=self.preprocessing.color == "grey").image, self.preprocessing)
        return image[:, :, 0].copy() if self.preprocessing.color == "grey" else image


def _locate(box: Box | None) -> FloatArray:
    if box is None or min(box.x1 - box.x0, box.y1 - box.y0) < _MIN_BOX_SIDE:
        return np.zeros((LOCATION_GRID, LOCATION_GRID), np.float32)
    return box.coverage(LOCATION_GRID, LOCATION_GRID)


@dataclass(frozen=True)
class Loader:
    """The batches of one epoch, normalised on the device that learns from them."""

    arrays: DataLoader[Sample]
    preprocessing: Preprocessing
    device: torch.device

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.arrays)

    def __iter__(self) -> Iterator[Batch]:
        """Read the batches; raise `WorkerError` if workers cannot be started."""
        try:
            if self.arrays.num_workers:
                multiprocessing.Lock()  # first, since torch's iterator, half made, would print a traceback
            batches = iter(self.arrays)
        except OSError as error:
            raise WorkerError(error.strerror or "they cannot be started") from error
        for images, *others in batches:
            inputs = normalize_images(torch.from_numpy(images).to(self.device), self.preprocessing)
            yield Batch(inputs, *(torch.from_numpy(array) for array in others))


def normalize_images(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Standardise as `normalize_image` does, to the bit: (N, S, S) or (N, S, S, 3) uint8 to (N, 3, S, S) float32."""
    mean, std = (
        255 * torch.tensor(values, device=images.device)[:, None, None]
        for values in (preprocessing.mean, preprocessing.std)
    )
    channels = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return (channels - mean) * (1 / std)


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
    device: torch.device = _CPU,
) -> Loader:
    """Make the batches of one epoch; `batch_size` is that of all processes together."""
    if num_workers:
        give_back_freed_memory()  # or each worker, forked off, would hold gigabytes of it
    arrays: DataLoader[Sample] = DataLoader(
        dataset,
        max(1, batch_size // processes.size),
        sampler=order_epoch(len(dataset), batch_size, epoch, shuffle_seed, processes),
        num_workers=num_workers,
        collate_fn=_collate,
    )
    return Loader(arrays, dataset.preprocessing, device)


def _collate(samples: Sequence[Sample]) -> tuple[npt.NDArray[np.generic], ...]:
    return tuple(np.stack(parts) for parts in zip(*samples, strict=True))


@contextmanager
def report_dead_workers() -> Iterator[None]:
    """Raise `WorkerError` where a worker raised anything, or was killed; torch says so at any time, in any function."""
    try:
        yield
    except Exception as error:
        lines = str(error).splitlines()
        if not any("DataLoader worker" in line for line in lines):
            raise
        if "signal: Terminated" in lines[0]:
            raise Terminated from error  # sent to all processes of the run, of which this one had not seen it yet
        raise WorkerError(lines[-1] if len(lines) > 1 else lines[0]) from error


def derive_seed(*parts: int) -> int:
    """Mix numbers into a 63-bit seed."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
