"""Judging weights on labelled scans, through the same code that serves them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.card import ModelCard, Preprocessing, SplitMetrics
from model.classifier import softmax
from model.engine import load_engine
from model.preprocessing import FloatArray, decode_image, preprocess_image
from training.metrics import Labels, Probabilities, confusion_matrix, measure
from training.scans import Scan, check_scans, find_scans

Predict = Callable[[FloatArray], FloatArray]
_BATCH_SIZE = 32


@dataclass(frozen=True)
class Evaluation:
    """What weights make of one split."""

    card: ModelCard
    split: str
    metrics: SplitMetrics
    confusion: npt.NDArray[np.int64]


def evaluate(checkpoint: Path, data: Path, split: str, num_threads: int) -> Evaluation:
    """Measure a `.pth` or `.onnx` file on `data/split/`.

    Raises:
        CheckpointError: If the weights cannot be loaded.
        DataError: If the folder is not what it should be, or has classes the weights do not know.
    """
    engine = load_engine(checkpoint, num_threads)
    folder = find_scans(data, split, engine.card.classes)
    check_scans(folder)
    probabilities = predict_scans(
        lambda inputs: engine.predict(inputs).logits,
        folder.scans,
        engine.card.preprocessing,
        engine.card.temperature,
    )
    labels = labels_of(folder.scans)
    metrics = measure(labels, probabilities, engine.card.classes)
    return Evaluation(engine.card, split, metrics, confusion_matrix(labels, probabilities))


def predict_scans(
    predict: Predict, scans: Sequence[Scan], preprocessing: Preprocessing, temperature: float = 1.0
) -> Probabilities:
    """Predict many scans in batches.

    Args:
        predict: From inputs (N, 3, S, S) to logits (N, K).

    Returns:
        Probabilities (N, K) in the order of `scans`.
    """
    logits = [
        predict(inputs)
        for inputs in tqdm(
            _batches(scans, preprocessing), "predicting", -(-len(scans) // _BATCH_SIZE), unit="batch", disable=None
        )
    ]
    return softmax(np.concatenate(logits), temperature)


def labels_of(scans: Sequence[Scan]) -> Labels:
    """Collect the labels (N,)."""
    return np.array([scan.label for scan in scans], np.int64)


def format_evaluation(evaluation: Evaluation) -> str:
    """Write an evaluation as text for a terminal."""
    metrics = evaluation.metrics
    rows = [f"{evaluation.split}: {metrics.images} images, 95 % intervals from a bootstrap over images"]
    rows += [
        f"  {name:<20} {interval.value:.4f}  [{interval.low:.4f}, {interval.high:.4f}]"
        for name, interval in metrics.__pydantic_extra__.items()
    ]
    width = max(len(name) for name in evaluation.card.classes)
    rows.append("confusion matrix, rows true, columns predicted")
    rows.append(" " * (width + 2) + " ".join(f"{name:>{width}}" for name in evaluation.card.classes))
    rows += [
        f"  {name:<{width}}" + " ".join(f"{count:>{width}}" for count in counts)
        for name, counts in zip(evaluation.card.classes, evaluation.confusion.tolist(), strict=True)
    ]
    return "\n".join(rows)


def _batches(scans: Sequence[Scan], preprocessing: Preprocessing) -> Iterator[FloatArray]:
    remaining = iter(scans)
    while batch := list(islice(remaining, _BATCH_SIZE)):
        yield np.concatenate(
            [preprocess_image(decode_image(scan.path.read_bytes()).image, preprocessing) for scan in batch]
        )
