"""Logs that every run writes: a CSV file, and TensorBoard's curves and graph."""

import copy
import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from model.host.atomic_file import write_file
from training.run import EpochResult, RunReport
from training.tracking.tracker import SOURCE, RunDescription, list_metrics, list_test_metrics


class RunLog:
    """The logs of one run, continued where a killed run left them; a `training.tracking.tracker.Tracker`."""

    def __init__(self, run: RunDescription, history: Sequence[EpochResult]) -> None:
        """Open the logs in the run's folder; what a killed run wrote past `history` is dropped."""
        self._run, self._csv = run, run.folder / "log.csv"
        self._history = list(history)
        self._board = SummaryWriter(str(run.folder / "tensorboard"), purge_step=len(history) + 1)

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
        for name, value in list_metrics(result).items():
            self._board.add_scalar(name, value, result.epoch)
        self._board.flush()

    def show(self, name: str, picture: Path, epoch: int) -> None:
        """Show a picture in TensorBoard."""
        self._board.add_image(name, np.asarray(Image.open(picture).convert("RGB")), epoch, dataformats="HWC")
        self._board.flush()

    def finish(self, report: RunReport) -> None:
        """Add what was measured on the tests, at the epoch that was kept, and beside it the hyper-parameters."""
        metrics = list_test_metrics(report)
        parameters = {**self._run.parameters, "source": SOURCE, "git_commit": self._run.commit}
        writer: Any = self._board.file_writer  # its own add_hparams would start a second file
        for part in hparams(parameters, metrics):  # type: ignore[no-untyped-call]
            writer.add_summary(part)
        for name, value in metrics.items():
            self._board.add_scalar(name, value, report.best_epoch)

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
