"""Learning curves as a picture."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.run import EpochResult

_DPI = 110


def draw_learning_curves(history: Sequence[EpochResult], best_epoch: int, path: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs, with the limits of stages and the epoch that was kept."""
    figure = Figure(figsize=(11, 3.5), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [result.epoch for result in history]
    for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
        for part, color in (("train", "#7f8c9b"), ("validation", "#0b63b5")):
            values = [getattr(result, f"{part}_{name}") for result in history]
            if None not in values:
                axis.plot(epochs, values, "o-", color=color, markersize=3, label=part)
        axis.set_title(name)
    loss.set_ylabel("nats")
    rate.plot(epochs, [result.learning_rate for result in history], "o-", color="#57534e", markersize=3)
    rate.set_yscale("log")
    rate.set_title("learning rate")
    for axis in (loss, accuracy, rate):
        _mark_epochs(axis, history, best_epoch)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _mark_epochs(axis: Axes, history: Sequence[EpochResult], best_epoch: int) -> None:
    limits = [before.epoch + 0.5 for before, after in pairwise(history) if after.stage != before.stage]
    for index, limit in enumerate(limits):
        axis.axvline(limit, color="#c5ccd6", linestyle="--", linewidth=1, label="" if index else "new stage")
    axis.axvline(best_epoch, color="#15803d", linewidth=1, alpha=0.6, label="epoch kept")
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)
