"""Counts outcomes, and which of them were wrong."""

from array import array
from collections import Counter
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.load.connection import Response
from tests.load.exchange import Outcome
from tests.load.reference import SAME, TOLERANCE, Difference, compare
from tests.load.request import OVERLOADED

_MAX_EXAMPLES = 10


def quantile(values: Sequence[float], part: float) -> float:
    """Compute a quantile, `part` in [0, 1]; NaN of nothing."""
    return float(np.quantile(values, part)) if len(values) else float("nan")


@dataclass
class Row:
    """Outcomes of one kind of request; `seconds` are of those with a response."""

    labels: Counter[str] = field(default_factory=Counter)
    num_wrong: int = 0
    seconds: MutableSequence[float] = field(default_factory=lambda: array("d"))


@dataclass
class Tally:
    """Outcomes by kind of request.

    Attributes:
        reference: Responses by the requests' names; a 200 may differ from them by `tolerance`.
        difference: The largest one.
        examples: The first wrong responses.
    """

    reference: Mapping[str, Response] = field(default_factory=dict)
    tolerance: Difference = TOLERANCE
    difference: Difference = SAME
    rows: dict[str, Row] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    seconds_by_label: dict[str, MutableSequence[float]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        label, row = outcome.label, self.rows.setdefault(outcome.request.kind, Row())
        row.labels[label] += 1
        if outcome.response is None:
            return
        row.seconds.append(outcome.seconds)
        self.seconds_by_label.setdefault(label, array("d")).append(outcome.seconds)
        if self._is_wrong(outcome, outcome.response):
            row.num_wrong += 1
            if len(self.examples) < _MAX_EXAMPLES:
                self.examples.append(f"{outcome.request.kind} {outcome.request.name}: {label}")

    def count(self, *labels: str) -> int:
        """Count the outcomes with one of these labels; "500" counts every label of that status."""
        counts = (count for row in self.rows.values() for count in row.labels.items())
        return sum(number for label, number in counts if label in labels or label.split(" ")[0] in labels)

    @property
    def num_wrong(self) -> int:
        return sum(row.num_wrong for row in self.rows.values())

    @property
    def num_sent(self) -> int:
        return sum(row.labels.total() for row in self.rows.values())

    def _is_wrong(self, outcome: Outcome, response: Response) -> bool:
        if response.status not in outcome.request.statuses | OVERLOADED:
            return True
        if response.status >= 400:
            return outcome.label == str(response.status)  # a problem has a code
        expected = self.reference.get(outcome.request.name)
        if expected is None:
            return False
        difference = compare(expected, response)
        self.difference = self.difference.widen(difference)
        return not difference.is_within(self.tolerance)
