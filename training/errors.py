"""Errors before and during training; each reaches the user as one line.

command line -> options               UsageError
recipe file, options -> Recipe        RecipeError
folder -> scans -> splits             DataError
model hub -> ImageNet weights         PretrainedError
run folder -> state of a killed run   RunError
scans -> augmented batches            WorkerError
run -> MLflow, Weights & Biases       TrackingError
"""

from pathlib import Path


class TrainingError(Exception):
    """Any error this package raises on purpose."""


class UsageError(TrainingError):
    """The command line is not as expected."""


class RecipeError(TrainingError):
    """A recipe is unknown, or a value in it is out of its bounds."""


class DataError(TrainingError):
    """The data folder is not what training needs; the message names the file or folder."""


class ImageFileError(DataError):
    """A file is no image that can be used; `problem` says why, without the path."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the file in the message."""
        super().__init__(f"{path}: {problem}")
        self.problem = problem


class PretrainedError(TrainingError):
    """ImageNet weights are wanted and cannot be had."""


class RunError(TrainingError):
    """The output folder holds another run, or no run to resume."""


class WorkerError(TrainingError):
    """A process that augments images failed, died or could not be started."""

    def __init__(self, reason: str) -> None:
        """Name the way out."""
        super().__init__(
            f"the processes that augment images: {reason}; most often memory is short: continue with --resume "
            "and --num-workers 0, or fewer than now"
        )


class Terminated(KeyboardInterrupt):
    """SIGTERM, as SLURM, Kubernetes and machines that are taken back send it."""


class TrackingError(TrainingError):
    """A run cannot be recorded where that was asked for."""
