"""What the measurements are worth: ratios of what was measured in the same round, their goals, and what they once were.

Times depend on the machine and on what else it does; ratios of neighbours in time do so much less. `ratios.json` holds
those of an earlier version: one that is worse by more than `_MAX_LOSS` is a regression.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from model.host.cores import available_cores
from tests.benchmark.measurements import ARITHMETIC, PREDICT, TRAINING, VISUALIZE, name_engine, name_load
from tests.benchmark.results import Results

STORED = Path(__file__).parent / "ratios.json"
_MAX_LOSS = 0.25  # two runs of the same program differ by up to a fifth where the machine is not ours alone


@dataclass(frozen=True)
class Ratio:
    """One ratio: what it is called, whether it should be large or small, and where the goal lies.

    Attributes:
        value: The median over the rounds.
    """

    name: str
    value: float
    goal: float
    large_is_good: bool

    @property
    def reached(self) -> bool:
        """Whether it is as good as the goal."""
        return self.value >= self.goal if self.large_is_good else self.value <= self.goal

    def has_regressed(self, earlier: float) -> bool:
        """Tell whether it is clearly worse than it was."""
        worse = earlier / self.value if self.large_is_good else self.value / earlier
        return worse > 1 + _MAX_LOSS


@dataclass(frozen=True)
class _Rule:
    """How a ratio is computed from some values of one round."""

    name: str
    needs: Sequence[tuple[str, str]]
    compute: Callable[..., float]
    goal: float
    large_is_good: bool


def compute_ratios(results: Results) -> list[Ratio]:
    """Compute what can be computed of what was measured."""
    return [
        Ratio(rule.name, _compute(rule, results), rule.goal, rule.large_is_good)
        for rule in _list_rules()
        if all(results.has(name) for name, _ in rule.needs)
    ]


def find_regressions(ratios: Sequence[Ratio], stored: Mapping[str, float]) -> list[str]:
    """Say which ratios are clearly worse than the stored ones."""
    return [
        f"{ratio.name}: {ratio.value:.3g}, was {stored[ratio.name]:.3g}"
        for ratio in ratios
        if ratio.name in stored and ratio.has_regressed(stored[ratio.name])
    ]


def load_stored() -> dict[str, float]:
    """Read the ratios of an earlier version; none if there are none."""
    return dict(json.loads(STORED.read_text(encoding="utf-8"))) if STORED.is_file() else {}


def store(ratios: Sequence[Ratio]) -> None:
    """Let these be what later versions are compared with."""
    text = json.dumps({ratio.name: round(ratio.value, 3) for ratio in ratios}, indent=2)
    STORED.write_text(text + "\n", encoding="utf-8")


def _compute(rule: _Rule, results: Results) -> float:
    rounds = zip(*(results.rounds(name, unit) for name, unit in rule.needs), strict=True)
    return median(rule.compute(*values) for values in rounds)


def _list_rules() -> Iterator[_Rule]:
    cores = available_cores()
    wide, wide_map = (name_engine("onnxruntime", cores, 1, explain=explain) for explain in (False, True))
    streams = name_engine("onnxruntime", 1, cores)
    one, many = (name_load("ours", PREDICT, "JPEG", 224, num_clients) for num_clients in (1, 32))
    usual_one, usual_many = (name_load("usual", PREDICT, "JPEG", 224, num_clients) for num_clients in (1, 32))

    yield _at_most("one client: p50 / engine on all cores", 1.25, (one, "p50_ms"), (wide, "ms"))
    yield _at_least("one client: times as fast as the usual service", 5, (one, "rate"), (usual_one, "rate"))
    yield _at_least("32 clients: rate / engine, a stream a core", 0.85, (many, "rate"), (streams, "rate"))
    yield _at_least("32 clients: times as fast as the usual service", 6, (many, "rate"), (usual_many, "rate"))
    reduced = name_load("ours, OpenVINO bf16", PREDICT, "JPEG", 224, 32)
    name = "32 clients, OpenVINO bf16: times as fast as the usual service"
    yield _at_least(name, 9, (reduced, "rate"), (usual_many, "rate"))
    yield _at_most("32 clients: p99 / p50", 2, (many, "p99_ms"), (many, "p50_ms"))
    needs = ((many, "server_cpu_ms"), (streams, "cpu_ms"))
    yield _Rule("32 clients: CPU / (engine + 1.5 ms)", needs, lambda cpu, engine: cpu / (engine + 1.5), 1, False)
    for side in (224, 512):
        for num_clients in (1, 32):
            pair = [name_load(system, VISUALIZE, "JPEG", side, num_clients) for system in ("ours", "usual")]
            name = f"picture {side}, {num_clients} clients: times as fast as the usual service"
            yield _at_least(name, 10, (pair[0], "rate"), (pair[1], "rate"))
        drawn = name_load("ours", VISUALIZE, "JPEG", side, 1)
        yield _Rule(
            f"picture {side}: p50 / (engine with map + drawing + 2 ms)",
            ((drawn, "p50_ms"), (wide_map, "ms"), (f"draw/{side}", "ms")),
            lambda p50, engine, drawing: p50 / (engine + drawing + 2),
            1,
            False,
        )
    yield _Rule("32 clients: memory / 300 MiB", ((many, "memory_mib"),), lambda memory: memory / 300, 1, False)
    yield _Rule("start / 1 s", (("start/ours", "seconds"),), lambda seconds: seconds, 1, False)
    yield _at_least("folder: rate / engine, a stream a core", 0.95, ("folder/command", "rate"), (streams, "rate"))
    yield _at_least("folder: rate / loop", 1.8, ("folder/command", "rate"), ("folder/loop", "rate"))
    yield _at_least(
        "training: images/s / those of the arithmetic alone", 0.95, (TRAINING, "rate"), (ARITHMETIC, "rate")
    )


def _at_most(name: str, goal: float, numerator: tuple[str, str], denominator: tuple[str, str]) -> _Rule:
    return _Rule(name, (numerator, denominator), _divide, goal, False)


def _at_least(name: str, goal: float, numerator: tuple[str, str], denominator: tuple[str, str]) -> _Rule:
    return _Rule(name, (numerator, denominator), _divide, goal, True)


def _divide(numerator: float, denominator: float) -> float:
    return numerator / denominator
