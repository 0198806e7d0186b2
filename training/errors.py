"""What can go wrong before and during training, named; each reaches the user as one line.

command line -> options               UsageError
recipe file, options -> Recipe        RecipeError
folder -> scans -> splits             DataError
model hub -> ImageNet weights         PretrainedError
run folder -> state of a killed run   RunError
run -> MLflow, Weights & Biases       TrackingError
"""


class TrainingError(Exception):
    """Any error this package raises on purpose."""


class UsageError(TrainingError):
    """The command line is not as expected."""


class RecipeError(TrainingError):
    """A recipe is unknown, or a value in it is out of its bounds."""


class DataError(TrainingError):
    """The data folder is not what training needs; the message names the file or folder."""


class PretrainedError(TrainingError):
    """ImageNet weights are wanted and cannot be had."""


class RunError(TrainingError):
    """The output folder holds another run, or no run to resume."""


class TrackingError(TrainingError):
    """A run cannot be recorded where that was asked for."""
