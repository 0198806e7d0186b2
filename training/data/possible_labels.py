"""Everything that scans may be: one class, one of several, or none; and the kind of picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from model.images.decoded import FloatArray
from model.kinds import EITHER_MR, KINDS, KindName
from training.data.coarse import CoarseScan
from training.data.scans import Scan


@dataclass(frozen=True)
class PossibleLabels:
    """The classes and kinds of picture that scans may be of.

    Attributes:
        num_classes: K.
        kinds: The possible kinds, indices into `model.kinds.KINDS`, of scans of each class.
    """

    num_classes: int
    kinds: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, classes: Sequence[str], class_kinds: Mapping[str, KindName]) -> Self:
        """Take the kinds of a recipe; a scan of a class that it does not name is MR of a head, of either kind."""
        either = tuple(KINDS.index(kind) for kind in EITHER_MR)
        named = {name: (KINDS.index(kind),) for name, kind in class_kinds.items()}
        return cls(len(classes), tuple(named.get(name, either) for name in classes))

    def classes_of(self, scans: Sequence[Scan]) -> FloatArray:
        """Mark the possible classes with 1; (N, K)."""
        labels = [scan.possible if isinstance(scan, CoarseScan) else (scan.label,) for scan in scans]
        return _mark(labels, self.num_classes)

    def kinds_of(self, scans: Sequence[Scan]) -> FloatArray:
        """Mark the possible kinds with 1; (N, 3)."""
        kinds = [scan.kinds if isinstance(scan, CoarseScan) else self.kinds[scan.label] for scan in scans]
        return _mark(kinds, len(KINDS))


def _mark(labels: Sequence[Sequence[int]], num_labels: int) -> FloatArray:
    marks = np.zeros((len(labels), num_labels), np.float32)
    for row, columns in enumerate(labels):
        marks[row, list(columns)] = 1
    return marks
