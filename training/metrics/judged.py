"""What weights make of labelled scans, computed through the same code that serves them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from model.card import Preprocessing
from model.decoding import decode_image
from model.engines.engine import Engine
from model.errors import InputError
from model.images.decoded import FloatArray
from model.preprocessing import preprocess_image
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.errors import DataError
from training.metrics.metrics import Labels, Probabilities

Output = TypeVar("Output")

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
    outputs = list(run_batches(lambda inputs: _run(engine, inputs), scans, engine.card.preprocessing))
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


def run_batches(
    run: Callable[[FloatArray], Output], scans: Sequence[Scan], preprocessing: Preprocessing
) -> Iterator[Output]:
    """Run something on scans in batches, decoding the next ones meanwhile.

    Args:
        run: From inputs (N, 3, S, S) to whatever is wanted of a batch.

    Returns:
        The outputs, batch by batch in the order of `scans`.

    Raises:
        DataError: If a scan cannot be read; the message names it.
    """
    num_batches = -(-len(scans) // _BATCH_SIZE)
    for inputs in tqdm(_read_batches(scans, preprocessing), "predicting", num_batches, unit="batch", disable=None):
        yield run(inputs)


def labels_of(scans: Sequence[Scan]) -> Labels:
    """Collect the labels (N,)."""
    return np.array([scan.label for scan in scans], np.int64)


def _run(engine: Engine, inputs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute logits (N, K), features (N, D) and appearances (N, 85)."""
    outputs = engine.predict(inputs)
    return outputs.logits, outputs.features, describe_appearance(inputs, engine.card.preprocessing)


def _read_batches(scans: Sequence[Scan], preprocessing: Preprocessing) -> Iterator[FloatArray]:
    remaining = iter(scans)
    ahead: deque[Iterator[FloatArray]] = deque()
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        while batch := list(islice(remaining, _BATCH_SIZE)):
            ahead.append(pool.map(lambda scan: _read_inputs(scan, preprocessing), batch))
            if len(ahead) > _BATCHES_AHEAD:
                yield np.concatenate(list(ahead.popleft()))
        while ahead:
            yield np.concatenate(list(ahead.popleft()))


def _read_inputs(scan: Scan, preprocessing: Preprocessing) -> FloatArray:
    try:
        return preprocess_image(decode_image(scan.path.read_bytes()).image, preprocessing)
    except InputError as error:
        raise DataError(f"{scan.path}: {error}") from error
    except OSError as error:
        raise DataError(f"{scan.path}: {error.strerror or 'cannot be read'}") from error
