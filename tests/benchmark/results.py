"""What came out: every value of every round, and the medians."""

import os
import platform
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from model.host.cores import available_cores
from tests.benchmark.engines import Pace
from tests.benchmark.load import Load
from tests.benchmark.systems import Start


@dataclass
class Results:
    """Values by measurement, by unit, in the order of the rounds."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, name: str, found: Pace | Load | Start) -> None:
        """Keep the values of one measurement."""
        for unit, value in asdict(found).items():
            self.values[name][unit].append(value)

    def has(self, name: str) -> bool:
        """Tell whether something was measured."""
        return name in self.values

    def rounds(self, name: str, unit: str) -> list[float]:
        """List one value of each round."""
        return self.values[name][unit]

    def median(self, name: str, unit: str) -> float:
        """Compute the median over the rounds."""
        return median(self.rounds(name, unit))

    def describe(self) -> dict[str, Any]:
        """Write all of it for programs."""
        medians = {
            name: {unit: round(median(values), 4) for unit, values in units.items()}
            for name, units in self.values.items()
        }
        rounds = {
            name: {unit: [round(value, 4) for value in values] for unit, values in units.items()}
            for name, units in self.values.items()
        }
        return {"machine": _describe_machine(), "medians": medians, "rounds": rounds}


def _describe_machine() -> dict[str, Any]:
    return {
        "processor": _read_processor() or platform.machine(),
        "cores": available_cores(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def _read_processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        return ""
    return names[0] if names else ""
