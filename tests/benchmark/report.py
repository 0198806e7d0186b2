"""The result for people: a table of everything, and the ratios with their goals."""

from collections.abc import Sequence

from tests.benchmark.ratios import Ratio
from tests.benchmark.results import Results

_UNITS = (
    ("ms", "ms"),
    ("rate", "1/s"),
    ("cpu_ms", "CPU ms"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("server_cpu_ms", "CPU ms"),
    ("client_cpu_ms", "client CPU ms"),
    ("seconds", "s"),
    ("memory_mib", "MiB"),
)


def format_report(results: Results, ratios: Sequence[Ratio]) -> str:
    """Write both tables."""
    return "\n".join([*_format_results(results), "", *map(_format_ratio, ratios)])


def _format_results(results: Results) -> list[str]:
    width = max(map(len, results.values), default=0)
    return [
        f"{name:<{width}}  "
        + "  ".join(f"{results.median(name, unit):8.2f} {label}" for unit, label in _UNITS if unit in units)
        for name, units in results.values.items()
    ]


def _format_ratio(ratio: Ratio) -> str:
    bound = "at least" if ratio.large_is_good else "at most"
    return f"{'ok' if ratio.reached else 'MISSED':<7} {ratio.name}: {ratio.value:.2f} ({bound} {ratio.goal:g})"
