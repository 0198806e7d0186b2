"""Outputs of weights on labelled scans, by the code that serves them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from model.card import Preprocessing
from model.engines.engine import Engine
from model.host.progress import Progress
from model.images.decoded import FloatArray
from model.preprocessing import normalize_image, resize_image
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from training.data.reading import NUM_THREADS, read_image
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.metrics.metrics import Labels, Probabilities

_ReadScan = tuple[FloatArray, FloatArray]  # inputs (3, S, S) and appearance (70,)

_BATCH_SIZE = 32
_BATCHES_AHEAD = 2  # decoded while the engine computes: 20 MB each at 224 pixels


@dataclass(frozen=True)
class SplitOutputs:
    """A split with the outputs of an engine.

    Attributes:
        labels: (N,), indices of classes.
        logits: (N, K).
        features: (N, D), the input of the classifier.
        appearances: (N, 70), see `model.reliability.appearance`.
        probabilities: (N, K), calibrated with the card's temperature.
        groups: (N,), see `groups_of`.
    """

    name: str
    scans: tuple[Scan, ...]
    labels: Labels
    logits: FloatArray
    features: FloatArray
    appearances: FloatArray
    probabilities: Probabilities
    groups: list[str]


def classify_splits(engine: Engine, splits: Sequence[TestSplit]) -> list[SplitOutputs]:
    """Classify splits; a scan in several is computed once. Raises `DataError` if a scan cannot be read."""
    scans = list({scan.path: scan for split in splits for scan in split.scans}.values())
    position = {scan.path: index for index, scan in enumerate(scans)}
    outputs = list(_run_batches(engine, scans))
    logits, features, appearances = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    probabilities = softmax(logits, engine.card.temperature)
    return [
        SplitOutputs(
            name=split.name,
            scans=split.scans,
            labels=labels_of(split.scans),
            logits=logits[rows],
            features=features[rows],
            appearances=appearances[rows],
            probabilities=probabilities[rows],
            groups=groups_of(split.scans),
        )
        for split in splits
        for rows in [[position[scan.path] for scan in split.scans]]
    ]


def labels_of(scans: Sequence[Scan]) -> Labels:
    """Collect the labels (N,)."""
    return np.array([scan.label for scan in scans], np.int64)


def groups_of(scans: Sequence[Scan]) -> list[str]:
    """Name the group of each scan; one of which nothing is known is its own."""
    return [scan.group or scan.path.as_posix() for scan in scans]


def _run_batches(engine: Engine, scans: Sequence[Scan]) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Compute logits (N, K), features (N, D) and appearances (N, 70) in batches, decoding the next ones meanwhile."""
    num_batches = -(-len(scans) // _BATCH_SIZE)
    batches = _read_batches(scans, engine.card.preprocessing)
    for batch in Progress(batches, "predicting", num_batches, unit="batch"):
        inputs, appearances = (np.stack(values) for values in zip(*batch, strict=True))
        outputs = engine.predict(inputs)
        yield outputs.logits, outputs.features, appearances


def _read_batches(scans: Sequence[Scan], preprocessing: Preprocessing) -> Iterator[Iterator[_ReadScan]]:
    remaining = iter(scans)
    ahead: deque[Iterator[_ReadScan]] = deque()
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        while batch := list(islice(remaining, _BATCH_SIZE)):
            ahead.append(pool.map(lambda scan: _read_scan(scan, preprocessing), batch))
            if len(ahead) > _BATCHES_AHEAD:
                yield ahead.popleft()
        while ahead:
            yield ahead.popleft()


def _read_scan(scan: Scan, preprocessing: Preprocessing) -> _ReadScan:
    """Read a scan as inputs (3, S, S) and its appearance (70,)."""
    image = resize_image(read_image(scan.path, grey=preprocessing.color == "grey").image, preprocessing)
    return normalize_image(image, preprocessing), describe_appearance(image)
