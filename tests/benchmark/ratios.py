"""Ratios of what was measured in the same round, their goals, and their values in an earlier version.

Times depend on the machine and on what else it does; ratios of neighbours in time do so much less. The first ones are
against the lean service: what ours costs or gains beyond thirty lines. `ratios.json` holds those of an earlier version,
where it had them: one that is worse by more than `_MAX_LOSS` is a regression.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import truediv
from pathlib import Path
from statistics import median

from model.host.cores import available_cores
from tests.benchmark.images import ORIGINAL
from tests.benchmark.measurements import (
    ARITHMETIC,
    NUM_CLIENTS,
    PREDICT,
    TRAINING,
    VISUALIZE,
    name_engine,
    name_load,
)
from tests.benchmark.results import Results

STORED = Path(__file__).parent / "ratios.json"
_MAX_LOSS = 0.25  # two runs of the same program differ by up to a fifth where the machine is not ours alone
_Value = tuple[str, str]  # a measurement and one of its units


@dataclass(frozen=True)
class Rule:
    """How a ratio is computed from some values of one round, and whether it should be at least the goal or at most."""

    name: str
    bound: str
    goal: float
    needs: Sequence[_Value]
    compute: Callable[..., float] = truediv


@dataclass(frozen=True)
class Ratio:
    """The value of a ratio: the median over the rounds."""

    rule: Rule
    value: float

    def format(self, *, with_verdict: bool) -> str:
        """Write it with its goal and, on demand, whether that is reached."""
        verdict = f"{'ok' if self._divide_by(self.rule.goal) >= 1 else 'MISSED':<7} " if with_verdict else ""
        return f"{verdict}{self.rule.name}: {self.value:.2f} ({self.rule.bound} {self.rule.goal:g})"

    def has_regressed(self, earlier: float) -> bool:
        """Whether it is clearly worse than it was."""
        return self._divide_by(earlier) < 1 / (1 + _MAX_LOSS)

    def _divide_by(self, other: float) -> float:
        """Compare with another value: more than 1 is better."""
        return self.value / other if self.rule.bound == "at least" else other / self.value


def compute_ratios(results: Results) -> list[Ratio]:
    """Compute what can be computed of what was measured."""
    ratios = []
    for rule in list_rules():
        rounds = list(zip(*(results.rounds(name, unit) for name, unit in rule.needs), strict=False))
        if rounds:
            ratios.append(Ratio(rule, median(rule.compute(*values) for values in rounds)))
    return ratios


def find_regressions(ratios: Sequence[Ratio], stored: Mapping[str, float]) -> list[str]:
    """List the ratios that are clearly worse than the stored ones."""
    return [
        f"{ratio.rule.name}: {ratio.value:.3g}, was {stored[ratio.rule.name]:.3g}"
        for ratio in ratios
        if ratio.rule.name in stored and ratio.has_regressed(stored[ratio.rule.name])
    ]


def load_stored() -> dict[str, float]:
    """Read the ratios of an earlier version; none if there are none."""
    return dict(json.loads(STORED.read_text(encoding="utf-8"))) if STORED.is_file() else {}


def store(ratios: Sequence[Ratio]) -> None:
    """Store these as what later versions are compared with."""
    text = json.dumps({ratio.rule.name: round(ratio.value, 3) for ratio in ratios}, indent=2)
    STORED.write_text(text + "\n", encoding="utf-8")


def list_rules() -> Iterator[Rule]:
    """List how the ratios are computed on this machine."""
    cores = available_cores()
    streams = name_engine("onnxruntime", 1, cores)
    ours, lean = (
        {num: name_load(system, PREDICT, ORIGINAL, num) for num in NUM_CLIENTS} for system in ("ours", "lean")
    )
    many, usual_many = (name_load(system, PREDICT, ORIGINAL, 32) for system in ("ours", "usual"))

    for num in NUM_CLIENTS:
        name = f"original size, {num} clients: times as fast as the lean service"
        yield _at_least(name, 1.15, (ours[num], "rate"), (lean[num], "rate"))
    name = "original size, 1 clients: p50 / that of the lean service"
    yield _at_most(name, 0.85, (ours[1], "p50_ms"), (lean[1], "p50_ms"))
    name = "original size, 32 clients: times as fast as the usual service"
    yield _at_least(name, 4, (many, "rate"), (usual_many, "rate"))
    yield _at_least(
        "original size, 32 clients: rate / engine, a stream a core", 0.75, (many, "rate"), (streams, "rate")
    )
    yield _at_most("original size, 32 clients: CPU / engine", 1.35, (many, "server_cpu_ms"), (streams, "cpu_ms"))
    busy = tuple((ours[8], unit) for unit in ("rate", "server_cpu_ms", "client_cpu_ms"))
    name = "original size, 8 clients: part of the cores that is busy, client included"
    yield Rule(name, "at least", 0.95, busy, lambda rate, server, client: rate * (server + client) / 1000 / cores)

    for num in (8, 32):
        drawn, usual = (name_load(system, VISUALIZE, "JPEG 512", num) for system in ("ours", "usual"))
        name = f"picture 512, {num} clients: times as fast as the usual service"
        yield _at_least(name, 9, (drawn, "rate"), (usual, "rate"))
    drawn, plain = (name_load("ours", path, "JPEG 512", 32) for path in (VISUALIZE, PREDICT))
    parts = ((drawn, "server_cpu_ms"), (plain, "server_cpu_ms"), (streams, "cpu_ms"))
    name = "picture 512, 32 clients: CPU beyond that of a prediction / engine"
    yield Rule(name, "at most", 1.34, parts, lambda drawn, plain, engine: (drawn - plain) / engine)

    small = name_load("ours", PREDICT, "JPEG 224", 32)
    yield _at_most("32 clients: p99 / p50", 2, (small, "p99_ms"), (small, "p50_ms"))
    yield Rule("32 clients: memory / 300 MiB", "at most", 1, ((small, "memory_mib"),), lambda memory: memory / 300)
    yield Rule("start / 1 s", "at most", 1, (("start/ours", "seconds"),), lambda seconds: seconds)
    yield _at_least("folder: rate / engine, a stream a core", 0.95, ("folder/command", "rate"), (streams, "rate"))
    yield _at_least("folder: rate / loop", 1.8, ("folder/command", "rate"), ("folder/loop", "rate"))
    name = "training: images/s / those of the arithmetic alone"
    yield _at_least(name, 0.95, (TRAINING, "rate"), (ARITHMETIC, "rate"))


def _at_most(name: str, goal: float, *needs: _Value) -> Rule:
    return Rule(name, "at most", goal, needs)


def _at_least(name: str, goal: float, *needs: _Value) -> Rule:
    return Rule(name, "at least", goal, needs)
