"""A training run: where it goes, and its results, as log, trackers and summary hold them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNS = Path("runs")  # where `fit` writes by default, in a folder of the recipe's name
CURVES_FILE = "learning_curves.png"
FIGURES_FOLDER = "figures"  # in a run's folder: pictures of what was measured on the tests
SHIPPED_CHECKPOINT = Path("weights/efficientnet_b0.pth")


@dataclass(frozen=True)
class EpochResult:
    """Results of an epoch; losses in nats, `epoch` and `stage` from 1; no validation where its scans are trained on."""

    epoch: int
    stage: int
    image_size: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class RunReport:
    """The files of a finished run, and its summary as plain types; `figures` are pictures by their names."""

    checkpoint: Path
    exported: Path
    summary: dict[str, Any]
    figures: dict[str, Path] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept."""
        return int(self.summary["training"]["best_epoch"])
