"""What a run writes for people to read: a CSV file and TensorBoard curves."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from training.fitting.run_state import EpochResult


class RunLog:
    """The logs of one run, continued where a killed run left them."""

    def __init__(self, folder: Path, history: Sequence[EpochResult]) -> None:
        """Open the logs in `folder`; what a killed run wrote past `history` is dropped."""
        self._csv = folder / "log.csv"
        self._history = list(history)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) + 1)

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._board.close()

    def write(self, result: EpochResult) -> None:
        """Add one epoch to both logs."""
        self._history.append(result)
        self._write_csv()
        for name, value in asdict(result).items():
            if name != "epoch":
                self._board.add_scalar(name.replace("_", "/", 1), value, result.epoch)
        self._board.flush()

    def _write_csv(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(EpochResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(result) for result in self._history)
        draft = self._csv.with_suffix(".csv.draft")
        draft.write_text(text.getvalue(), encoding="utf-8")
        os.replace(draft, self._csv)
