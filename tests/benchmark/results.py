"""The results: every value of every round, their medians, and the machine as it was before."""

import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from model.host.cores import available_cores
from tests.benchmark.load import Load
from tests.benchmark.measurements import Start
from tests.benchmark.parts import Pace

_UNITS = {
    **{"ms": "ms", "rate": "1/s", "cpu_ms": "CPU ms", "p50_ms": "p50 ms", "p99_ms": "p99 ms"},
    **{"server_cpu_ms": "CPU ms", "client_cpu_ms": "client CPU ms", "seconds": "s", "memory_mib": "MiB"},
}
_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, Any]:
    """Read the processor, the cores, and how busy they are with something else."""
    found = (
        re.search(r"^model name\s*: (.*)$", _CPU_INFO.read_text(encoding="utf-8"), re.M) if _CPU_INFO.exists() else None
    )
    return {
        "processor": found[1] if found else platform.machine(),
        "cores": available_cores(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
    }


@dataclass
class Results:
    """Values by measurement, by unit, in the order of the rounds."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=describe_machine)

    def add(self, name: str, found: Pace | Load | Start) -> None:
        for unit, value in asdict(found).items():
            self.values.setdefault(name, defaultdict(list))[unit].append(value)

    def rounds(self, name: str, unit: str) -> list[float]:
        """List one value of each round; none if it was not measured."""
        return self.values.get(name, {}).get(unit, [])

    def medians(self) -> dict[str, dict[str, float]]:
        return {name: {unit: median(values) for unit, values in units.items()} for name, units in self.values.items()}


def format_row(name: str, width: int, values: Mapping[str, float]) -> str:
    """Write the values of one measurement with their units."""
    found = (f"{values[unit]:8.2f} {label}" for unit, label in _UNITS.items() if unit in values)
    return f"{name:<{width}}  {'  '.join(found)}"
