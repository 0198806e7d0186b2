"""Logs that every run writes: a CSV file, and TensorBoard's curves and graph."""

import copy
import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from model.host.atomic_file import write_file
from training.run import EpochResult, RunReport


class RunLog:
    """The logs of one run, continued where a killed run left them; a `training.tracking.tracker.Tracker`."""

    def __init__(self, folder: Path, history: Sequence[EpochResult]) -> None:
        """Open the logs in `folder`; what a killed run wrote past `history` is dropped."""
        self._csv = folder / "log.csv"
        self._history = list(history)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) + 1)

    def draw_graph(self, network: nn.Module, input_size: int) -> None:
        """Show the network's operators to TensorBoard."""
        inputs = torch.zeros(1, 3, input_size, input_size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about constants and about its own future
            self._board.add_graph(copy.deepcopy(network).cpu().eval(), inputs)

    def write(self, result: EpochResult) -> None:
        """Add one epoch to both logs."""
        self._history.append(result)
        self._write_csv()
        for name, value in asdict(result).items():
            if name != "epoch" and value is not None:
                self._board.add_scalar(name.replace("_", "/", 1), value, result.epoch)
        self._board.flush()

    def finish(self, report: RunReport) -> None:
        """Add what was measured on the tests, at the epoch that was kept."""
        best_epoch = report.summary["training"]["best_epoch"]
        for split, metrics in report.summary["metrics"].items():
            for name, interval in metrics.items():
                if isinstance(interval, dict):
                    self._board.add_scalar(f"{split}/{name}", interval["value"], best_epoch)

    def close(self, *, failed: bool) -> None:
        """Close the files."""
        del failed
        self._board.close()

    def _write_csv(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(EpochResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(result) for result in self._history)
        write_file(self._csv, text.getvalue().encode())
