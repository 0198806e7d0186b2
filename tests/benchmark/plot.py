"""The results as a picture: requests a second and their latency, by clients and by system."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tests.benchmark.measurements import MAIN_PATHS, NUM_CLIENTS, name_load
from tests.benchmark.results import Results

_GAP = 0.2  # of the width, between two groups of bars


def plot_results(results: Results, title: str, path: Path) -> None:
    """Draw bars of the medians, with every round as a dot, on a logarithmic scale, where something was measured."""
    systems = list(dict.fromkeys(name.split("/")[1] for name in results.values if name.startswith("http/")))
    panels = [panel for panel in MAIN_PATHS if any(any(_list_rounds(results, name, panel)) for name in systems)]
    if not panels:
        path.unlink(missing_ok=True)  # one of an earlier run
        return
    figure = Figure(figsize=(4 * len(panels), 7), layout="constrained")
    grid, width = figure.subplots(2, len(panels), squeeze=False), (1 - _GAP) / len(systems)
    for column, panel in enumerate(panels):
        grid[0, column].set_title(", ".join(panel))
        for axes, unit, label in zip(grid[:, column], ("rate", "p50_ms"), ("requests/s", "p50, ms"), strict=True):
            for index, system in enumerate(systems):
                rounds = _list_rounds(results, system, panel, unit)
                places = np.arange(len(rounds)) + index * width
                bars = axes.bar(places, [np.median(values or np.nan) for values in rounds], width, label=system)
                axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=4)
                for place, values in zip(places, rounds, strict=True):
                    axes.plot([place] * len(values), values, "k.", markersize=3)
            axes.set(yscale="log", ylabel=label)
            axes.set_xticks(range(len(NUM_CLIENTS)), [f"{clients} clients" for clients in NUM_CLIENTS])
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, title=title)
    figure.savefig(path, dpi=100)


def _list_rounds(results: Results, system: str, panel: tuple[str, str], unit: str = "rate") -> list[list[float]]:
    """List the rounds of each number of clients."""
    return [results.rounds(name_load(system, *panel, clients), unit) for clients in NUM_CLIENTS]
