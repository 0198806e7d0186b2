"""The result as a picture: requests a second and their latency, by clients and by system."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmark.measurements import NUM_CLIENTS, PREDICT, VISUALIZE, name_load
from tests.benchmark.results import Results

_PANELS = ((PREDICT, "JPEG", 224), (VISUALIZE, "JPEG", 224), (VISUALIZE, "JPEG", 512))
_BAR_WIDTH = 0.8


def plot_results(results: Results, path: Path) -> None:
    """Draw bars of the medians, with every round as a dot, on a logarithmic scale."""
    figure = Figure(figsize=(4 * len(_PANELS), 7), layout="constrained")
    systems = list(dict.fromkeys(name.split("/")[1] for name in results.values if name.startswith("http/")))
    for column, (request_path, form, side) in enumerate(_PANELS):
        for row, (unit, label) in enumerate((("rate", "requests/s"), ("p50_ms", "p50, ms"))):
            axes = figure.add_subplot(2, len(_PANELS), row * len(_PANELS) + column + 1)
            names = {
                system: [name_load(system, request_path, form, side, clients) for clients in NUM_CLIENTS]
                for system in systems
            }
            _draw_bars(axes, results, names, unit)
            axes.set_title(f"{request_path}, {form} {side}" if row == 0 else "")
            axes.set_ylabel(label)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(systems))
    figure.savefig(path, dpi=100)


def _draw_bars(axes: Axes, results: Results, names: dict[str, list[str]], unit: str) -> None:
    width = _BAR_WIDTH / len(names)
    for index, (system, measured) in enumerate(names.items()):
        places = [place + (index + 0.5) * width - _BAR_WIDTH / 2 for place in range(len(measured))]
        known = [(place, name) for place, name in zip(places, measured, strict=True) if results.has(name)]
        heights = [results.median(name, unit) for _, name in known]
        bars = axes.bar([place for place, _ in known], heights, width, label=system, color=f"C{index}")
        axes.bar_label(bars, [f"{height:.0f}" for height in heights], fontsize=7, padding=4)
        for place, name in known:
            rounds = results.rounds(name, unit)
            axes.plot([place] * len(rounds), rounds, "k.", markersize=3)
    if any(results.has(name) for measured in names.values() for name in measured):
        axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(len(NUM_CLIENTS)), [f"{clients} clients" for clients in NUM_CLIENTS])
