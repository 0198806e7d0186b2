"""Elsewhere than at home: what weights make of the same scans as another scanner or hospital might deliver them."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter
from tqdm import tqdm

from model.card import Interval
from model.errors import InputError
from model.preprocessing import ImageArray, decode_image
from training.errors import DataError
from training.intervals import Values, bootstrap
from training.metrics import Labels, Probabilities, expected_calibration_error
from training.scans import Scan
from training.shift_catalogue import SHIFTS, Shift
from training.weighted_means import weighted_means

UNSHIFTED = Shift("none", (0.0,), "", lambda image, _severity, _generator: image)
REVIEW_LEVELS = ("none", "consider", "required")
_BATCH_SIZE = 32
_NUM_THREADS = 4  # Pillow, and most of NumPy and SciPy, work outside the interpreter's lock


@dataclass(frozen=True)
class Verdicts:
    """What is said about N images.

    Attributes:
        probabilities: (N, K), calibrated; rows sum to 1.
        levels: Of each image one of `REVIEW_LEVELS`.
        outliers: (N,), images unlike those trained on; None where nobody can tell.
    """

    probabilities: Probabilities
    levels: Sequence[str]
    outliers: npt.NDArray[np.bool_] | None = None


Judge = Callable[[Sequence[ImageArray]], Verdicts]


@dataclass(frozen=True)
class ShiftScore:
    """What becomes of a model under one shift; parts are of all scans unless they say of what.

    Attributes:
        shift: Its name, "none" for the scans as they are.
        unit: What `severity` counts.
        shortcut: Whether the brain is as before, so that the answers have to be.
        accuracy: Right answers.
        agreement: Answers that are those for the scan as it is.
        ece: Expected calibration error.
        review: By level, the part of the scans that has it.
        outliers: Scans taken for unlike those trained on; None where nobody can tell.
        missed_tumor_rate: Of the tumours, those called healthy; None where no class is healthy or none a tumour.
        missed_tumors: How many these are.
        missed_and_flagged: Of these, the part whose review level is not "none"; None where there are none.
    """

    shift: str
    severity: float
    unit: str
    shortcut: bool
    accuracy: Interval
    agreement: Interval
    ece: float
    review: dict[str, float]
    outliers: float | None
    missed_tumor_rate: Interval | None
    missed_tumors: int
    missed_and_flagged: Interval | None


@dataclass(frozen=True)
class ShiftMeasurement:
    """The scans as they are, and under every shift and severity."""

    images: int
    groups: int
    reference: ShiftScore
    scores: tuple[ShiftScore, ...]

    def to_json(self) -> str:
        """Write everything as JSON."""
        return TypeAdapter(ShiftMeasurement).dump_json(self, indent=2).decode() + "\n"


@dataclass(frozen=True)
class _Condition:
    shift: Shift
    severity: float


def measure_shift(
    judge: Judge,
    scans: Sequence[Scan],
    healthy: int | None,
    *,
    num_scans: int | None = None,
    seed: int = 0,
    shifts: Sequence[Shift] = SHIFTS,
) -> ShiftMeasurement:
    """Judge scans as they are and under simulated shifts; each is decoded once.

    Args:
        judge: From RGB images (H, W, 3) uint8, of whatever sizes, to verdicts.
        healthy: The label of scans without a tumour, if there is such a class.
        num_scans: At most so many are judged, drawn by `seed` with the mixture of classes kept.

    Raises:
        DataError: If there is no scan, or one cannot be read; the message names it.
    """
    chosen = choose_scans(scans, num_scans, seed)
    if not chosen:
        raise DataError("no scans to judge under simulated shifts")
    conditions = [_Condition(shift, severity) for shift in (UNSHIFTED, *shifts) for severity in shift.severities]
    verdicts = _judge_all(judge, chosen, conditions, seed)
    reference = verdicts[0].probabilities.argmax(axis=1)
    scores = [
        _score(condition, verdict, chosen, reference, healthy)
        for condition, verdict in zip(conditions, verdicts, strict=True)
    ]
    return ShiftMeasurement(len(chosen), len(set(_groups_of(chosen))), scores[0], tuple(scores[1:]))


def choose_scans(scans: Sequence[Scan], num_scans: int | None, seed: int) -> list[Scan]:
    """Draw scans with the mixture of classes kept, in the order they came; None takes all."""
    if num_scans is None or num_scans >= len(scans):
        return list(scans)
    totals = np.bincount([scan.label for scan in scans])
    ranks = np.zeros_like(totals)
    positions = np.empty(len(scans))
    for index in np.random.default_rng(seed).permutation(len(scans)):
        label = scans[index].label
        positions[index] = (ranks[label] + 0.5) / totals[label]  # of the scan among its class, in (0, 1)
        ranks[label] += 1
    return [scans[index] for index in sorted(np.argsort(positions, kind="stable")[:num_scans])]


def _judge_all(judge: Judge, scans: Sequence[Scan], conditions: Sequence[_Condition], seed: int) -> list[Verdicts]:
    """Judge all scans under all conditions, batch by batch, so that few images are in memory."""
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
    outliers = [part.outliers for part in parts if part.outliers is not None]
    return Verdicts(
        np.concatenate([part.probabilities for part in parts]),
        [level for part in parts for level in part.levels],
        np.concatenate(outliers) if outliers else None,
    )


def _score(
    condition: _Condition, verdicts: Verdicts, scans: Sequence[Scan], reference: Labels, healthy: int | None
) -> ShiftScore:
    labels = np.array([scan.label for scan in scans], np.int64)
    predicted, levels = verdicts.probabilities.argmax(axis=1), np.array(verdicts.levels)
    tumors = labels != healthy if healthy is not None else np.zeros(len(labels), bool)
    missed = tumors & (predicted == healthy)
    intervals = _mean_intervals(
        {
            "accuracy": np.where(predicted == labels, 1.0, 0.0),
            "agreement": np.where(predicted == reference, 1.0, 0.0),
            "missed_tumor_rate": np.where(tumors, missed, np.nan),
            "missed_and_flagged": np.where(missed, levels != "none", np.nan),
        },
        _groups_of(scans),
    )
    return ShiftScore(
        shift=condition.shift.name,
        severity=condition.severity,
        unit=condition.shift.unit,
        shortcut=condition.shift.shortcut,
        accuracy=intervals["accuracy"],
        agreement=intervals["agreement"],
        ece=expected_calibration_error(labels, verdicts.probabilities),
        review={level: float((levels == level).mean()) for level in REVIEW_LEVELS},
        outliers=None if verdicts.outliers is None else float(verdicts.outliers.mean()),
        missed_tumor_rate=intervals.get("missed_tumor_rate"),
        missed_tumors=int(missed.sum()),
        missed_and_flagged=intervals.get("missed_and_flagged"),
    )


def _mean_intervals(columns: dict[str, Values], groups: Sequence[str]) -> dict[str, Interval]:
    """Average columns (N,), NaN where a scan does not count; those where none counts are left out."""
    values = np.stack(list(columns.values()), axis=1)
    return bootstrap(lambda weights: dict(zip(columns, weighted_means(values, weights).T, strict=True)), groups)


def _groups_of(scans: Sequence[Scan]) -> list[str]:
    return [scan.group or scan.path.as_posix() for scan in scans]
