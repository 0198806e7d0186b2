"""Scans as tensors: decoded once a stage, augmented anew every epoch, the same for any number of workers."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from model.card import Preprocessing
from model.preprocessing import ImageArray, decode_image, normalize_image, resize_image
from training.augmentation import Augment
from training.scans import Scan

_NUM_THREADS = 4


class ScanDataset(Dataset[tuple[Tensor, int]]):
    """Labelled inputs, held in memory as 8-bit images of the stage's size (50 KB a grey scan at 224)."""

    def __init__(
        self, scans: Sequence[Scan], preprocessing: Preprocessing, augment: Augment | None = None, seed: int = 0
    ) -> None:
        """Decode and resize all scans; `augment` is applied anew whenever one is read."""
        self._preprocessing = preprocessing
        self._augment = augment
        self._seed = seed
        self._labels = [scan.label for scan in scans]
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            images = pool.map(self._read, scans)
            self._images = list(tqdm(images, "decoding", len(scans), unit="scan", leave=False, disable=None))

    def __len__(self) -> int:
        """Count the scans."""
        return len(self._images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        """Read a scan as inputs (3, S, S) with its label.

        Args:
            key: Epoch and index; together with the seed they decide how the scan is augmented.
        """
        epoch, index = key
        image = self._images[index]
        if self._augment is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(self._seed, epoch, index))
                image = np.asarray(self._augment(Image.fromarray(image)))
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        return torch.from_numpy(normalize_image(image, self._preprocessing)), self._labels[index]

    def _read(self, scan: Scan) -> ImageArray:
        image = resize_image(decode_image(scan.path.read_bytes()).image, self._preprocessing)
        return image[:, :, 0].copy() if self._preprocessing.color == "grey" else image


class EpochSampler(Sampler[tuple[int, int]]):
    """Keys (epoch, index) of one epoch, shuffled by seed and epoch or in order."""

    def __init__(self, num_scans: int, epoch: int, seed: int | None = None) -> None:
        """Shuffle where a seed is given."""
        self._num_scans, self._epoch, self._seed = num_scans, epoch, seed

    def __len__(self) -> int:
        """Count the scans."""
        return self._num_scans

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Go through all scans once."""
        order = np.arange(self._num_scans)
        if self._seed is not None:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        return ((self._epoch, int(index)) for index in order)


def create_loader(
    dataset: ScanDataset, batch_size: int, epoch: int, *, shuffle_seed: int | None, num_workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Make the batches of one epoch; an incomplete last one is dropped where batches are shuffled.

    (Batch normalisation over a last batch of one or two images would make the statistics wild.)
    """
    shuffled = shuffle_seed is not None
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # the loader turns tuples of one scan into tuples of a batch
        batch_size,
        sampler=EpochSampler(len(dataset), epoch, shuffle_seed),
        num_workers=num_workers,
        drop_last=shuffled and len(dataset) >= batch_size,
        pin_memory=torch.cuda.is_available(),
    )


def derive_seed(*parts: int) -> int:
    """Mix numbers into a 63-bit seed."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
