"""Verdicts on scans changed as another scanner or hospital might deliver them."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.card import ModelCard
from model.engines.engine import Engine
from model.host.progress import Progress
from model.images.decoded import ImageArray
from model.preprocessing import normalize_image, resize_image
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from model.reliability.reliability import ReliabilityCheck
from training.data.reading import NUM_THREADS, read_image
from training.data.scans import Scan
from training.metrics.metrics import Probabilities
from training.robustness.shift_catalogue import Shift

_BATCH_SIZE = 32


@dataclass(frozen=True)
class Verdicts:
    """Outputs for N images.

    Attributes:
        probabilities: (N, K), calibrated; rows sum to 1.
        levels: (N,), one of `training.metrics.reviews.LEVELS`; None without review.
        outliers: (N,), images unlike those trained on; None without a detector.
    """

    probabilities: Probabilities
    levels: npt.NDArray[np.str_] | None = None
    outliers: npt.NDArray[np.bool_] | None = None


Classify = Callable[[Sequence[ImageArray]], Verdicts]


@dataclass(frozen=True)
class Condition:
    """A shift at one of its severities."""

    shift: Shift
    severity: float

    def describe(self) -> str:
        """Name shift and severity."""
        return f"{self.shift.name.replace('_', ' ')} {self.severity:g} {self.shift.unit}".rstrip()


def list_conditions(shifts: Sequence[Shift]) -> list[Condition]:
    """List every severity of every shift."""
    return [Condition(shift, severity) for shift in shifts for severity in shift.severities]


def create_classifier(engine: Engine, card: ModelCard) -> Classify:
    """Create a function from RGB images (H, W, 3) uint8 to the verdicts of the service with this card."""
    check = ReliabilityCheck(card)

    def classify(images: Sequence[ImageArray]) -> Verdicts:
        resized = [resize_image(image, card.preprocessing) for image in images]
        outputs = engine.predict(np.stack([normalize_image(image, card.preprocessing) for image in resized]))
        probabilities = softmax(outputs.logits, card.temperature)
        appearances = np.stack([describe_appearance(image) for image in resized])
        found = check.assess(probabilities, outputs.features, appearances)
        levels = np.array([each.review.level.value for each in found if each.review])
        outliers = np.array([each.ood.outlier for each in found if each.ood], bool)
        return Verdicts(probabilities, levels if card.review else None, outliers if card.outlier_detector else None)

    return classify


def classify_conditions(
    classify: Classify, scans: Sequence[Scan], conditions: Sequence[Condition], seed: int = 0
) -> list[Verdicts]:
    """Classify all scans under each condition, in batches, so that few images are in memory. Raises `DataError`."""
    parts: list[list[Verdicts]] = [[] for _ in conditions]
    with (
        ThreadPoolExecutor(NUM_THREADS) as pool,
        Progress(None, "shifting", len(scans) * len(conditions), unit="scan") as progress,
    ):
        for batch, images in _read_batches(scans, pool):
            seeds = [_seed_of(scan, seed) for scan in batch]
            for part, condition in zip(parts, conditions, strict=True):
                progress.set_description_str(f"shifting: {condition.describe()}", refresh=False)
                severities = [condition.severity] * len(batch)
                part.append(classify(list(pool.map(condition.shift.apply, images, severities, seeds))))
                progress.update(len(batch))
    return [_concatenate(part) for part in parts]


def _read_batches(scans: Sequence[Scan], pool: ThreadPoolExecutor) -> Iterator[tuple[Sequence[Scan], list[ImageArray]]]:
    for start in range(0, len(scans), _BATCH_SIZE):
        batch = scans[start : start + _BATCH_SIZE]
        yield batch, list(pool.map(lambda scan: read_image(scan.path).image, batch))


def _seed_of(scan: Scan, seed: int) -> int:
    """Derive a seed from the file's name and folder: the same in any selection and on any machine."""
    return zlib.crc32(f"{scan.path.parent.name}/{scan.path.name}".encode(), seed)


def _concatenate(parts: Sequence[Verdicts]) -> Verdicts:
    levels = [part.levels for part in parts if part.levels is not None]
    outliers = [part.outliers for part in parts if part.outliers is not None]
    return Verdicts(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate(levels) if levels else None,
        np.concatenate(outliers) if outliers else None,
    )
