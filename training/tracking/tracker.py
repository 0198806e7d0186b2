"""Records of a run while it goes on.

a run starts -> each epoch -> the finished run's files -> the end, good or bad
"""

import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from training.errors import TrackingError
from training.recipe import Recipe
from training.run import EpochResult, RunReport

SOURCE = "python -m training fit"
_IDENTITIES_FILE = "tracking.json"
_PLAIN_NAME = re.compile(r"[\w. /-]+")  # as MLflow takes it

logger = logging.getLogger(__name__)

Value = str | int | float | bool


@dataclass(frozen=True)
class RunDescription:
    """Name and making of a run.

    Attributes:
        recipe: The name under which its weights are registered.
        folder: Where the run writes.
        parameters: Every value of the recipe and how the data are divided.
        commit: Of this code, with "-dirty" if files differ from it; empty outside a repository.
    """

    recipe: str
    folder: Path
    parameters: Mapping[str, Value]
    commit: str = ""

    @property
    def name(self) -> str:
        """For people; the folder tells runs of one recipe apart."""
        return self.recipe if self.folder.name == self.recipe else f"{self.recipe} {self.folder.name}"


class Tracker(Protocol):
    """Keeps records of a run. All methods raise `TrackingError` where that fails."""

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        ...

    def show(self, name: str, picture: Path, epoch: int) -> None:
        """Record a picture."""
        ...

    def finish(self, report: RunReport) -> None:
        """Record the results of the finished run."""
        ...

    def close(self, *, failed: bool) -> None:
        """End the records."""
        ...


class Trackers:
    """Several trackers as one; one that fails is logged once an epoch, and the run goes on."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        """Pass everything to `trackers`, in their order."""
        self._trackers = trackers

    def __enter__(self) -> Self:
        """Return the trackers themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all of them, whatever happened."""
        self._call(lambda tracker: tracker.close(failed=kind is not None))

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        self._call(lambda tracker: tracker.write(result))

    def show(self, name: str, picture: Path, epoch: int) -> None:
        """Record a picture."""
        self._call(lambda tracker: tracker.show(name, picture, epoch))

    def finish(self, report: RunReport) -> None:
        """Record the results of the finished run."""
        self._call(lambda tracker: tracker.finish(report))
        for name, picture in report.figures.items():
            self.show(name, picture, report.best_epoch)

    def _call(self, action: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            try:
                action(tracker)
            except TrackingError as error:
                logger.warning("not recorded: %s", error)


@contextmanager
def report_failures(name: str, failure: type[Exception]) -> Iterator[None]:
    """Raise `TrackingError`, with the first line of the message, for the errors of a tracker's library."""
    try:
        yield
    except (failure, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrackingError(f"{name}: {reason}") from error


def describe_run(recipe: Recipe, folder: Path, others: Mapping[str, Value]) -> RunDescription:
    """Describe a run; values of the recipe that hold others are named "section.value", lists are written as JSON.

    So are those that hold names which a tracker would refuse.
    """
    values: dict[str, Value] = {}
    for name, value in recipe.model_dump(mode="json").items():
        if isinstance(value, dict) and all(_PLAIN_NAME.fullmatch(key) for key in value):
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            values[name] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
    return RunDescription(recipe.name, folder, {**values, **others}, find_commit())


def find_commit() -> str:
    """Find the commit of this code, with "-dirty" if files differ from it; empty outside a repository."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def list_metrics(result: EpochResult) -> dict[str, float]:
    """Name the results of an epoch; the part before a slash becomes a section of the tracker's page."""
    return {
        re.sub("^(train|validation)_", r"\1/", name): float(value)
        for name, value in vars(result).items()
        if name != "epoch" and value is not None
    }


def list_test_metrics(report: RunReport) -> dict[str, float]:
    """Name the metrics of the tests, "SPLIT/METRIC"."""
    return {
        f"{split}/{name}": float(interval["value"])
        for split, metrics in report.summary["metrics"].items()
        for name, interval in metrics.items()
        if isinstance(interval, Mapping)
    }


def recall_identity(folder: Path, tracker: str) -> str | None:
    """Find the name under which a tracker keeps the run in `folder`, if it does."""
    path = folder / _IDENTITIES_FILE
    if not path.is_file():
        return None
    identity = json.loads(path.read_text(encoding="utf-8")).get(tracker)
    return None if identity is None else str(identity)


def remember_identity(folder: Path, tracker: str, identity: str) -> None:
    """Write the name down, so that a resumed run is recorded where it was."""
    path = folder / _IDENTITIES_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, tracker: identity}, indent=2) + "\n", encoding="utf-8")
