"""What a scenario found: the table, the memory, and each requirement with what was measured."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.soak.tally import Tally, quantile

MEBIBYTE = 2**20
_COLUMNS = "{:<20} {:>7} {:>6} {:>6} {:>9} {:>9}  {}"


@dataclass(frozen=True)
class Requirement:
    """Something the service must do, and what it did.

    Attributes:
        timed: Whether it depends on how fast the machine is.
    """

    name: str
    measured: str
    met: bool
    timed: bool = False


@dataclass(frozen=True)
class Report:
    """The result of one scenario.

    Attributes:
        facts: What was measured beside the requirements, as lines.
    """

    scenario: str
    facts: Sequence[str]
    requirements: Sequence[Requirement]
    tally: Tally = field(default_factory=Tally)

    @property
    def passed(self) -> bool:
        """Whether every requirement is met."""
        return all(requirement.met for requirement in self.requirements)

    def list_failures(self) -> list[str]:
        """List what is not met though it depends on no machine's speed."""
        failed = [requirement for requirement in self.requirements if not (requirement.met or requirement.timed)]
        return [f"{requirement.name}: {requirement.measured}" for requirement in failed]

    def format(self) -> str:
        """Write it for people."""
        lines = [f"== {self.scenario}", *self.facts, "", *_format_table(self.tally), ""]
        lines += [f"example of a wrong answer: {example}" for example in self.tally.examples]
        for requirement in self.requirements:
            lines.append(f"{'ok' if requirement.met else 'FAILED':<7} {requirement.name}: {requirement.measured}")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """Write it for programs."""
        return {
            "scenario": self.scenario,
            "passed": self.passed,
            "facts": list(self.facts),
            "requirements": [asdict(requirement) for requirement in self.requirements],
            "kinds": {
                kind: {
                    "sent": row.num_sent,
                    "ends": dict(row.labels),
                    "wrong": row.num_wrong,
                    **_quantiles(row.seconds),
                }
                for kind, row in self.tally.rows.items()
            },
        }


def at_most(name: str, measured: float, limit: float, unit: str, *, timed: bool = False) -> Requirement:
    """Require a number to be `limit` or less; one that was not measured does not pass."""
    return Requirement(name, f"{measured:.4g} {unit} (at most {limit:.4g})", measured <= limit, timed)


def none_of(name: str, number: int) -> Requirement:
    """Require that something did not happen."""
    return Requirement(name, str(number), number == 0)


def _format_table(tally: Tally) -> list[str]:
    lines = [_COLUMNS.format("kind", "sent", "wrong", "lost", "p50 ms", "p99 ms", "answered")]
    for kind, row in sorted(tally.rows.items()):
        ends = ", ".join(f"{label} {number}" for label, number in sorted(row.labels.items()))
        lost = row.labels["lost"] + row.labels["hung"]
        p50, p99 = (_milliseconds(quantile(row.seconds, part)) for part in (0.5, 0.99))
        lines.append(_COLUMNS.format(kind, row.num_sent, row.num_wrong, lost, p50, p99, ends))
    return lines


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.1f}"


def _quantiles(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {"p50_seconds": None, "p99_seconds": None}
    return {"p50_seconds": quantile(seconds, 0.5), "p99_seconds": quantile(seconds, 0.99)}
