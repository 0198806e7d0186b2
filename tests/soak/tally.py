"""Counting what came back."""

from array import array
from collections import Counter
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.soak.exchange import Outcome
from tests.soak.reference import Reference
from tests.soak.request import OVERLOADED

_MAX_EXAMPLES = 10


def quantile(values: Sequence[float], part: float) -> float:
    """Compute a quantile, `part` in [0, 1]; NaN of nothing."""
    return float(np.quantile(values, part)) if len(values) else float("nan")


@dataclass
class Row:
    """What came back for one kind of request; `seconds` are of answered ones."""

    labels: Counter[str] = field(default_factory=Counter)
    num_wrong: int = 0
    seconds: MutableSequence[float] = field(default_factory=lambda: array("d"))

    @property
    def num_sent(self) -> int:
        """Requests whose end is known, which is all of them at the end."""
        return self.labels.total()


class Tally:
    """Judges outcomes and counts them by kind."""

    def __init__(self, reference: Reference | None = None) -> None:
        """Count from nothing; a 200 is compared with the answers of `reference`."""
        self.rows: dict[str, Row] = {}
        self.examples: list[str] = []
        self.seconds_by_label: dict[str, MutableSequence[float]] = {}
        self._reference = reference

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        row = self.rows.setdefault(outcome.request.kind, Row())
        row.labels[outcome.label] += 1
        if outcome.answer is not None:
            row.seconds.append(outcome.seconds)
            self.seconds_by_label.setdefault(outcome.label, array("d")).append(outcome.seconds)
        if self._is_wrong(outcome):
            row.num_wrong += 1
            self._keep_example(f"{outcome.request.kind} {outcome.request.name}: {outcome.label}")

    def count(self, *labels: str) -> int:
        """Count the outcomes with one of these labels."""
        return sum(row.labels[label] for row in self.rows.values() for label in labels)

    def count_status(self, status: int) -> int:
        """Count the answers with this status."""
        named = (row.labels.items() for row in self.rows.values())
        return sum(number for items in named for label, number in items if label.split(" ")[0] == str(status))

    @property
    def num_wrong(self) -> int:
        """Answers that should not have been given."""
        return sum(row.num_wrong for row in self.rows.values())

    @property
    def num_sent(self) -> int:
        """All requests."""
        return sum(row.num_sent for row in self.rows.values())

    @property
    def longest_seconds(self) -> float:
        """The longest that an answer took; NaN without any."""
        return max((max(seconds) for seconds in self.seconds_by_label.values()), default=float("nan"))

    def seconds_of(self, label: str) -> Sequence[float]:
        """How long the answers with a label took."""
        return self.seconds_by_label.get(label, array("d"))

    def _is_wrong(self, outcome: Outcome) -> bool:
        answer, request = outcome.answer, outcome.request
        if answer is None:
            return False
        if answer.status not in request.statuses | OVERLOADED:
            return True
        if answer.status >= 400:
            return outcome.label == str(answer.status)  # a problem has a code
        if request.reference is None or self._reference is None:
            return False
        return not self._reference.equals(request.reference, answer)

    def _keep_example(self, text: str) -> None:
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(text)
