"""Ratios of what was measured in the same round, their goals, and their values in an earlier version.

Times depend on the machine and on what else it does; ratios of neighbours in time do so much less. `ratios.json` holds
those of an earlier version: one that is worse by more than `_MAX_LOSS` is a regression.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import truediv
from pathlib import Path
from statistics import median

from model.host.cores import available_cores
from tests.benchmark.measurements import ARITHMETIC, PREDICT, TRAINING, VISUALIZE, name_engine, name_load
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
    wide, wide_map = (name_engine("onnxruntime", cores, 1, explain=explain) for explain in (False, True))
    streams = name_engine("onnxruntime", 1, cores)
    one, many = (name_load("ours", PREDICT, "JPEG", 224, num_clients) for num_clients in (1, 32))
    usual_one, usual_many = (name_load("usual", PREDICT, "JPEG", 224, num_clients) for num_clients in (1, 32))

    yield _at_most("one client: p50 / engine on all cores", 1.25, (one, "p50_ms"), (wide, "ms"))
    yield _at_least("one client: times as fast as the usual service", 5, (one, "rate"), (usual_one, "rate"))
    yield _at_least("32 clients: rate / engine, a stream a core", 0.85, (many, "rate"), (streams, "rate"))
    yield _at_least("32 clients: times as fast as the usual service", 6, (many, "rate"), (usual_many, "rate"))
    yield _at_most("32 clients: p99 / p50", 2, (many, "p99_ms"), (many, "p50_ms"))
    needs = ((many, "server_cpu_ms"), (streams, "cpu_ms"))
    yield Rule("32 clients: CPU / (engine + 1.5 ms)", "at most", 1, needs, lambda cpu, engine: cpu / (engine + 1.5))
    for side in (224, 512):
        for num_clients in (1, 32):
            ours, usual = (name_load(system, VISUALIZE, "JPEG", side, num_clients) for system in ("ours", "usual"))
            name = f"picture {side}, {num_clients} clients: times as fast as the usual service"
            yield _at_least(name, 10, (ours, "rate"), (usual, "rate"))
        drawn = name_load("ours", VISUALIZE, "JPEG", side, 1)
        parts = ((drawn, "p50_ms"), (wide_map, "ms"), (f"draw/{side}", "ms"))
        name = f"picture {side}: p50 / (engine with map + drawing + 2 ms)"
        yield Rule(name, "at most", 1, parts, lambda p50, engine, drawing: p50 / (engine + drawing + 2))
    yield Rule("32 clients: memory / 300 MiB", "at most", 1, ((many, "memory_mib"),), lambda memory: memory / 300)
    yield Rule("start / 1 s", "at most", 1, (("start/ours", "seconds"),), lambda seconds: seconds)
    yield _at_least("folder: rate / engine, a stream a core", 0.95, ("folder/command", "rate"), (streams, "rate"))
    yield _at_least("folder: rate / loop", 1.8, ("folder/command", "rate"), ("folder/loop", "rate"))
    name = "training: images/s / those of the arithmetic alone"
    yield _at_least(name, 0.95, (TRAINING, "rate"), (ARITHMETIC, "rate"))


def _at_most(name: str, goal: float, *needs: _Value) -> Rule:
    return Rule(name, "at most", goal, needs)


def _at_least(name: str, goal: float, *needs: _Value) -> Rule:
    return Rule(name, "at least", goal, needs)
