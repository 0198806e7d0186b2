"""What the command was asked to do; every number once, with its unit."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from model.engines.loading import DEFAULT_WEIGHTS


@dataclass(frozen=True)
class Options:
    """How the benchmark is run; the command line is made from these."""

    rounds: int = field(default=3, metadata={"help": "how often everything is measured; the medians count"})
    seconds: float = field(default=0.5, metadata={"help": "length of one measurement"})
    slow_seconds: float = field(default=1.0, metadata={"help": "the same where a request takes a tenth of a second"})
    num_files: int = field(default=160, metadata={"help": "files in the folder that `model predict` is given"})
    weights: Path = field(default=DEFAULT_WEIGHTS, metadata={"help": "the .onnx to serve"})
    checkpoint: Path = field(
        default=DEFAULT_WEIGHTS.with_suffix(".pth"), metadata={"help": "the .pth it was made from, for torch"}
    )
    out: Path = field(default=Path("benchmark"), metadata={"help": "folder for benchmark.json and benchmark.png"})

    def shorten(self) -> Self:
        """Take less time: for a look, not for a number."""
        return replace(self, rounds=1, seconds=0.3, slow_seconds=0.6, num_files=60)
