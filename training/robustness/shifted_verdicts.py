"""What is said about scans that are changed as another scanner or hospital might deliver them."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.card import ModelCard
from model.decoding import decode_image
from model.engines.engine import Engine
from model.errors import InputError
from model.images.decoded import ImageArray
from model.preprocessing import normalize_image, resize_image
from model.reliability.appearance import describe_appearance
from model.reliability.probabilities import softmax
from model.reliability.reliability import ReliabilityCheck
from training.data.scans import Scan
from training.errors import DataError
from training.metrics.metrics import Probabilities
from training.robustness.shift_catalogue import Shift

_BATCH_SIZE = 32
_NUM_THREADS = 4  # Pillow, and most of NumPy and SciPy, work outside the interpreter's lock


@dataclass(frozen=True)
class Verdicts:
    """What is said about N images.

    Attributes:
        probabilities: (N, K), calibrated; rows sum to 1.
        levels: (N,), one of `training.metrics.reviews.LEVELS`; None where nobody reviews.
        outliers: (N,), images unlike those trained on; None where nobody can tell.
    """

    probabilities: Probabilities
    levels: npt.NDArray[np.str_] | None = None
    outliers: npt.NDArray[np.bool_] | None = None


Judge = Callable[[Sequence[ImageArray]], Verdicts]


@dataclass(frozen=True)
class Condition:
    """A shift at one of its severities."""

    shift: Shift
    severity: float


def list_conditions(shifts: Sequence[Shift]) -> list[Condition]:
    """List every severity of every shift."""
    return [Condition(shift, severity) for shift in shifts for severity in shift.severities]


def create_judge(engine: Engine, card: ModelCard) -> Judge:
    """Judge images as the service would, by the temperature and the thresholds of a card."""
    check = ReliabilityCheck(card)

    def judge(images: Sequence[ImageArray]) -> Verdicts:
        resized = [resize_image(image, card.preprocessing) for image in images]
        outputs = engine.predict(np.stack([normalize_image(image, card.preprocessing) for image in resized]))
        probabilities = softmax(outputs.logits, card.temperature)
        appearances = np.stack([describe_appearance(image) for image in resized])
        found = check.assess(probabilities, outputs.features, appearances)
        levels = np.array([each.review.level.value for each in found if each.review])
        outliers = np.array([each.ood.outlier for each in found if each.ood], bool)
        return Verdicts(probabilities, levels if card.review else None, outliers if card.outlier_detector else None)

    return judge


def judge_conditions(
    judge: Judge, scans: Sequence[Scan], conditions: Sequence[Condition], seed: int = 0
) -> list[Verdicts]:
    """Judge all scans under each condition, batch by batch, so that few images are in memory.

    Raises:
        DataError: If a scan cannot be read; the message names it.
    """
    parts: list[list[Verdicts]] = [[] for _ in conditions]
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for batch, images in _read_batches(scans, pool, len(conditions)):
            seeds = [_seed_of(scan, seed) for scan in batch]
            for part, condition in zip(parts, conditions, strict=True):
                severities = [condition.severity] * len(batch)
                part.append(judge(list(pool.map(condition.shift.apply, images, severities, seeds))))
    return [_concatenate(part) for part in parts]


def _read_batches(
    scans: Sequence[Scan], pool: ThreadPoolExecutor, num_conditions: int
) -> Iterator[tuple[Sequence[Scan], list[ImageArray]]]:
    with tqdm(total=len(scans) * num_conditions, desc="shifting", unit="scan", disable=None) as progress:
        for start in range(0, len(scans), _BATCH_SIZE):
            batch = scans[start : start + _BATCH_SIZE]
            yield batch, list(pool.map(_read_image, batch))
            progress.update(len(batch) * num_conditions)


def _read_image(scan: Scan) -> ImageArray:
    try:
        return decode_image(scan.path.read_bytes()).image
    except (InputError, OSError) as error:
        raise DataError(f"{scan.path}: {error}") from error


def _seed_of(scan: Scan, seed: int) -> int:
    """Derive a seed from the file's name and folder, so that it is the same in any selection and on any machine."""
    return zlib.crc32(f"{scan.path.parent.name}/{scan.path.name}".encode(), seed)


def _concatenate(parts: Sequence[Verdicts]) -> Verdicts:
    levels = [part.levels for part in parts if part.levels is not None]
    outliers = [part.outliers for part in parts if part.outliers is not None]
    return Verdicts(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate(levels) if levels else None,
        np.concatenate(outliers) if outliers else None,
    )
