"""The options of the benchmark; the comments are their help."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from model.engines.loading import DEFAULT_WEIGHTS

_CHECKPOINT = DEFAULT_WEIGHTS.with_suffix(".pth")


@dataclass(frozen=True)
class Options:
    """How the benchmark is run."""

    rounds: int = 3  # how often everything is measured; the medians count
    seconds: float = 0.5  # length of one measurement
    slow_seconds: float = 1.0  # the same where a request takes a tenth of a second
    num_files: int = 160  # files in the folder that `model predict` is given
    weights: Path = DEFAULT_WEIGHTS  # the .onnx to serve
    checkpoint: Path = _CHECKPOINT  # the .pth it was made from, for torch
    out: Path = Path("benchmark")  # folder for benchmark.json and benchmark.png

    def shorten(self) -> Self:
        """Take less time: for a look, not for a number."""
        return replace(self, rounds=1, seconds=0.3, slow_seconds=0.6, num_files=60)
