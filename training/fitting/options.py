"""Everything that a run needs besides the recipe: from the command line, and from a run that is resumed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from training.data.splits import SplitName

_FILES = ("initial_weights", "pretrained_file", "groups", "boxes", "coarse")


@dataclass(frozen=True)
class FitOptions:
    """Everything that a run needs besides the recipe.

    Attributes:
        data: Folder with `Training/CLASS/` and, where the result is to be reported on, `Testing/CLASS/`; or with
            `CLASS/` alone.
        out: Folder for everything the run writes.
        resume: With a folder, `--resume RUN`, continue the run in it, with all that it was started with; alone, that in
            `out`.
        version: Goes into the card.
        device: By default a GPU where there is one.
        num_workers: Processes that augment images.
        initial_weights: A checkpoint of ours to start from, instead of ImageNet or random weights.
        pretrained_file: timm's ImageNet weights as a file, instead of from the model hub.
        split: official tests on Testing/; grouped divides all scans by patients or copies; common tests on both, and
            trains on the scans that both train on. By default grouped where the table fixes a split or there is no
            Training/, else official.
        groups: Table with the columns path, group and, perhaps, split; without it, copies are found and kept together.
        boxes: Table with the columns path, x0, y0, x1, y1 of tumours, for recipes that learn them.
        coarse: Table of scans of which less is known than the class; see `training.data.coarse`.
        mlflow: Record the run there too: a server's address, or a database such as sqlite:///mlflow.db.
        wandb: Project of Weights & Biases, likewise; WANDB_MODE=offline needs no account.
    """

    data: Positional[Path]
    out: Path
    resume: bool = False
    version: str = "1.0.0"
    device: Literal["cpu", "cuda"] | None = None
    num_workers: int = min(4, os.cpu_count() or 1)
    initial_weights: Path | None = None
    pretrained_file: Path | None = None
    split: SplitName | None = None
    groups: Path | None = None
    boxes: Path | None = None
    coarse: Path | None = None
    mlflow: str | None = None
    wandb: str | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.num_workers < 0:
            raise ValueError("--num-workers: expected 0 or more")

    @property
    def files(self) -> dict[str, Path]:
        """Every file that is named, by its option; `pretrained_file` is not needed to resume, and may be gone."""
        needed = [name for name in _FILES if not (self.resume and name == "pretrained_file")]
        return {name: path for name in needed if (path := getattr(self, name)) is not None}


def describe_options(options: FitOptions) -> dict[str, Any]:
    """Describe what a run needs besides the recipe, as plain types and with absolute paths."""
    values = {field.name: getattr(options, field.name) for field in fields(FitOptions)}
    return {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name, value in values.items()
        if name not in ("out", "resume")
    }


def restore_options(described: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what `describe_options` returned back to the types of the fields."""
    paths = {"data", *_FILES}
    return {name: Path(value) if name in paths and value else value for name, value in described.items()}
