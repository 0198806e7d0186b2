"""The result of a scenario: its table, its facts, and each requirement with what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.load.exchange import End
from tests.load.service import Service
from tests.load.tally import Tally, quantile

MEBIBYTE = 2**20
_HEAD = ("kind", "sent", "wrong", "lost", "p50 ms", "p99 ms", "ends")
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
    """The result of one scenario; `facts` are lines on what was measured beside the requirements."""

    scenario: str
    facts: Sequence[str]
    requirements: Sequence[Requirement]
    tally: Tally = field(default_factory=Tally)

    @property
    def passed(self) -> bool:
        return all(requirement.met for requirement in self.requirements)

    def list_failures(self) -> list[str]:
        """List what is not met though it depends on no machine's speed."""
        failed = [requirement for requirement in self.requirements if not (requirement.met or requirement.timed)]
        return [f"{requirement.name}: {requirement.measured}" for requirement in failed]

    def format(self) -> str:
        lines = [f"== {self.scenario}", *self.facts, "", _COLUMNS.format(*_HEAD)]
        lines += [_COLUMNS.format(*("-" if cell is None else cell for cell in row)) for row in self._list_rows()]
        lines += ["", *(f"example of a wrong response: {example}" for example in self.tally.examples)]
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
            "kinds": [dict(zip(_HEAD, row, strict=True)) for row in self._list_rows()],
        }

    def _list_rows(self) -> Iterator[tuple[Any, ...]]:
        for kind, row in sorted(self.tally.rows.items()):
            ends = ", ".join(f"{label} {number}" for label, number in sorted(row.labels.items()))
            lost = row.labels[End.LOST] + row.labels[End.HUNG]
            p50, p99 = (round(1000 * quantile(row.seconds, part), 1) if row.seconds else None for part in (0.5, 0.99))
            yield kind, row.labels.total(), row.num_wrong, lost, p50, p99, ends


def at_most(name: str, measured: float, limit: float, unit: str, *, timed: bool = False) -> Requirement:
    """Require a number to be `limit` or less; one that was not measured does not pass."""
    return Requirement(name, f"{measured:.4g} {unit} (at most {limit:.4g})", measured <= limit, timed)


def none_of(name: str, number: int) -> Requirement:
    return Requirement(name, str(number), number == 0)


def require_right_responses(tally: Tally) -> list[Requirement]:
    """Require that no response was wrong, and none took for ever."""
    return [
        none_of("status 500", tally.count("500")),
        none_of("wrong responses", tally.num_wrong),
        none_of("hangs", tally.count(End.HUNG)),
    ]


def require_responses(tally: Tally) -> list[Requirement]:
    """Require a right response to every request."""
    return [*require_right_responses(tally), none_of("lost requests", tally.count(End.LOST, End.REFUSED))]


def require_clean_log(service: Service) -> Requirement:
    """Require that the service reported no defect and died of none."""
    lines = [line for line in service.read_log().splitlines() if '"defect"' in line or "Traceback" in line]
    first = f" first: {lines[0][:300]}" if lines else ""
    return Requirement("defects in the log", f"{len(lines)}{first}", not lines)
