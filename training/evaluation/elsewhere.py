"""Weights measured on scans from elsewhere, of which only part is known: by source, sequence and plane."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.card import Interval, ModelCard
from model.engines.engine import Engine
from training.data.coarse import LEARNT_PARTS, CoarseScan, load_coarse
from training.data.splits import TestSplit
from training.errors import DataError
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.intervals import Values, Weights, bootstrap
from training.metrics.metrics import Mean, Probabilities, compute_means, find_healthy_class
from training.metrics.ranking import Mask, roc_auc
from training.metrics.reviews import Reviews, review_scans
from training.pages.columns import ELSEWHERE_METRICS
from training.pages.tables import align

TABLE = "elsewhere.csv"
UNSEEN_PARTS = ("validation", "calibration")


@dataclass(frozen=True)
class ElsewhereRow:
    """Numbers of the scans that share a source, a sequence or a plane.

    Attributes:
        numbers: With intervals from a bootstrap over patients; those that are not defined are left out.
            lesion_auc: lesions against lesion-free slices, by the probability of a tumour.
            called_tumor, called_healthy: right among lesions and among lesion-free slices.
            missed_silently, wrong_type_silently: at review level "none", of the lesions those called healthy, and of
            those of a known type those given another one. reviewed: at another level.
            flagged: outliers. kind_right: the most probable kind is possible.
    """

    name: str
    num_images: int
    num_patients: int
    numbers: dict[str, Interval]


@dataclass(frozen=True)
class ElsewhereSource:
    """The number of a source's scans in each part of the table, and their licence, empty where none is stated."""

    name: str
    licence: str
    num_images: dict[str, int]


@dataclass(frozen=True)
class Elsewhere:
    """Weights measured on scans from elsewhere.

    Attributes:
        table_sha256: Cards of weights that learnt from the table name it as `coarse_sha256`.
        sources: Of all parts of the table, by name and licence.
        rows: Of the unseen parts: all of them, then each source, sequence and plane.
    """

    table_sha256: str
    sources: tuple[ElsewhereSource, ...]
    rows: tuple[ElsewhereRow, ...]


def find_table(place: Path) -> Path:
    """Find the table in a folder; any other place is one itself."""
    return place / TABLE if place.is_dir() else place


def load_elsewhere(table: Path, card: ModelCard) -> tuple[CoarseScan, ...]:
    """Read the scans of all parts of the table.

    Raises:
        DataError: If the table is not as expected, or has no scans in its unseen parts.
    """
    scans = load_coarse(table, card.classes, find_healthy_class(card.classes))
    if not _find_unseen(scans):
        raise DataError(f"{table}: expected rows of the parts {' and '.join(UNSEEN_PARTS)}; found none")
    return scans


def count_sources(scans: Sequence[CoarseScan]) -> tuple[ElsewhereSource, ...]:
    """Count the scans of each source and licence in each part."""
    counts = Counter((scan.source, scan.licence, scan.split) for scan in scans)
    return tuple(
        ElsewhereSource(name, licence, {part: counts[name, licence, part] for part in LEARNT_PARTS})
        for name, licence in sorted({(scan.source, scan.licence) for scan in scans})
    )


def measure_elsewhere(engine: Engine, scans: Sequence[CoarseScan]) -> tuple[ElsewhereRow, ...]:
    """Classify the scans that no weights were trained on as the service would, and measure them."""
    unseen = _find_unseen(scans)
    (classified,) = classify_splits(engine, [TestSplit("elsewhere", unseen)])
    reviews = review_scans(engine.card, classified) or Reviews(("none",) * len(unseen))
    means = _define_means(engine.card, unseen, classified, reviews)
    return tuple(
        _measure_row(name, members, means, classified, engine.card, unseen) for name, members in _list_parts(unseen)
    )


def format_elsewhere(rows: Sequence[ElsewhereRow]) -> str:
    """Write the rows for a terminal."""
    shown = [name for name in ELSEWHERE_METRICS if any(name in row.numbers for row in rows)]
    lines = [["elsewhere", "images", "patients", *(ELSEWHERE_METRICS[name] for name in shown)]]
    for row in rows:
        cells = [f"{row.numbers[name].value:.3f}" if name in row.numbers else "" for name in shown]
        lines.append([row.name, str(row.num_images), str(row.num_patients), *cells])
    return align(lines)


def _find_unseen(scans: Sequence[CoarseScan]) -> tuple[CoarseScan, ...]:
    return tuple(scan for scan in scans if scan.split in UNSEEN_PARTS)


def _list_parts(scans: Sequence[CoarseScan]) -> Iterator[tuple[str, Mask]]:
    yield "all", np.ones(len(scans), bool)
    sources, sequences = np.array([scan.source for scan in scans]), np.array([scan.sequence for scan in scans])
    for source in sorted(set(sources.tolist())):
        yield source, sources == source
        found = sorted(set(sequences[sources == source].tolist()))
        for sequence in found if len(found) > 1 else ():
            yield f"{source}, {sequence}", (sources == source) & (sequences == sequence)
    planes = np.array([scan.plane for scan in scans])
    for plane in sorted(set(planes.tolist())):
        yield f"plane {plane}", planes == plane


def _define_means(
    card: ModelCard, scans: Sequence[CoarseScan], classified: SplitOutputs, reviews: Reviews
) -> dict[str, Mean]:
    healthy, predicted = find_healthy_class(card.classes), classified.probabilities.argmax(axis=1)
    lesions, free = _find_lesions(scans, healthy)
    silent = np.array(reviews.levels) == "none"
    types = np.array([card.classes.index(scan.type) if scan.type in card.classes else -1 for scan in scans])
    means = {"reviewed": Mean(~silent, np.ones(len(scans), bool))}
    if healthy is not None:
        means["called_tumor"] = Mean(predicted != healthy, lesions)
        means["missed_silently"] = Mean((predicted == healthy) & silent, lesions)
        means["called_healthy"] = Mean(predicted == healthy, free)
        wrong = (predicted != types) & (predicted != healthy)
        means["wrong_type_silently"] = Mean(wrong & silent, lesions & (types >= 0))
    if reviews.outliers is not None:
        means["flagged"] = Mean(reviews.outliers, np.ones(len(scans), bool))
    if reviews.kinds is not None:
        best = reviews.kinds.argmax(axis=1)
        right = np.array([kind in scan.kinds for kind, scan in zip(best.tolist(), scans, strict=True)], bool)
        means["kind_right"] = Mean(right, np.ones(len(scans), bool))
    return means


def _find_lesions(scans: Sequence[CoarseScan], healthy: int | None) -> tuple[Mask, Mask]:
    """Find the scans with a lesion, and those known to have none."""
    lesions = np.array([bool(scan.possible) and healthy not in scan.possible for scan in scans], bool)
    free = np.array([scan.possible == (healthy,) for scan in scans], bool)
    return lesions, free


def _measure_row(
    name: str,
    members: Mask,
    means: dict[str, Mean],
    classified: SplitOutputs,
    card: ModelCard,
    scans: Sequence[CoarseScan],
) -> ElsewhereRow:
    part = {key: Mean(mean.values[members], mean.members[members]) for key, mean in means.items()}
    healthy = find_healthy_class(card.classes)
    lesions, free = (mask[members] for mask in _find_lesions(scans, healthy))
    doubts: Probabilities = 1 - classified.probabilities[members, healthy or 0]

    def compute(weights: Weights) -> dict[str, Values]:
        numbers = compute_means(part, weights)
        if healthy is not None and lesions.any() and free.any():
            known = lesions | free
            numbers["lesion_auc"] = roc_auc(lesions[known], doubts[known], weights[:, known])
        return numbers

    groups = [group for group, member in zip(classified.groups, members.tolist(), strict=True) if member]
    return ElsewhereRow(name, len(groups), len(set(groups)), bootstrap(compute, groups))
