"""What weights make of labelled scans, computed through the same code that serves them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tqdm import tqdm

from model.card import Preprocessing
from model.decoding import decode_image
from model.engines.engine import Engine
from model.errors import InputError
from model.images.decoded import FloatArray
from model.preprocessing import normalize_image, resize_image
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.errors import DataError
from training.metrics.metrics import Labels, Probabilities

_ReadScan = tuple[FloatArray, FloatArray]  # inputs (3, S, S) and appearance (85,)

_BATCH_SIZE = 32
_BATCHES_AHEAD = 2  # decoded while the engine computes: 20 MB each at 224 pixels
_NUM_THREADS = 4  # Pillow decodes outside the interpreter's lock


@dataclass(frozen=True)
class Judged:
    """A split with what an engine says about it.

    Attributes:
        labels: (N,), indices of classes.
        logits: (N, K).
        features: (N, D), what enters the classifier.
        appearances: (N, 85), see `model.reliability.appearance`.
        probabilities: (N, K), calibrated with the card's temperature.
        groups: Who each scan belongs with; a scan of which nothing is known is its own.
    """

    name: str
    scans: tuple[Scan, ...]
    labels: Labels
    logits: FloatArray
    features: FloatArray
    appearances: FloatArray
    probabilities: Probabilities
    groups: list[str]


def judge_splits(engine: Engine, splits: Sequence[TestSplit]) -> list[Judged]:
    """Judge splits; a scan that is in several is computed once.

    Raises:
        DataError: If a scan cannot be read; the message names it.
    """
    scans = list({scan.path: scan for split in splits for scan in split.scans}.values())
    position = {scan.path: index for index, scan in enumerate(scans)}
    outputs = list(_run_batches(engine, scans))
    logits, features, appearances = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    probabilities = softmax(logits, engine.card.temperature)
    judged = []
    for split in splits:
        rows = [position[scan.path] for scan in split.scans]
        groups = [scan.group or scan.path.as_posix() for scan in split.scans]
        judged.append(
            Judged(
                name=split.name,
                scans=split.scans,
                labels=labels_of(split.scans),
                logits=logits[rows],
                features=features[rows],
                appearances=appearances[rows],
                probabilities=probabilities[rows],
                groups=groups,
            )
        )
    return judged


def labels_of(scans: Sequence[Scan]) -> Labels:
    """Collect the labels (N,)."""
    return np.array([scan.label for scan in scans], np.int64)


def _run_batches(engine: Engine, scans: Sequence[Scan]) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Compute logits (N, K), features (N, D) and appearances (N, 85) in batches, decoding the next ones meanwhile."""
    num_batches = -(-len(scans) // _BATCH_SIZE)
    batches = _read_batches(scans, engine.card.preprocessing)
    for batch in tqdm(batches, "predicting", num_batches, unit="batch", disable=None):
        inputs, appearances = (np.stack(values) for values in zip(*batch, strict=True))
        outputs = engine.predict(inputs)
        yield outputs.logits, outputs.features, appearances


def _read_batches(scans: Sequence[Scan], preprocessing: Preprocessing) -> Iterator[Iterator[_ReadScan]]:
    remaining = iter(scans)
    ahead: deque[Iterator[_ReadScan]] = deque()
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        while batch := list(islice(remaining, _BATCH_SIZE)):
            ahead.append(pool.map(lambda scan: _read_scan(scan, preprocessing), batch))
            if len(ahead) > _BATCHES_AHEAD:
                yield ahead.popleft()
        while ahead:
            yield ahead.popleft()


def _read_scan(scan: Scan, preprocessing: Preprocessing) -> _ReadScan:
    """Read a scan as inputs (3, S, S) and its appearance (85,)."""
    try:
        image = resize_image(decode_image(scan.path.read_bytes()).image, preprocessing)
    except InputError as error:
        raise DataError(f"{scan.path}: {error}") from error
    return normalize_image(image, preprocessing), describe_appearance(image)
