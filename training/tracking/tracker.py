"""What is told about a run while it goes on, to whoever keeps records.

a run starts -> each epoch -> the finished run's files -> the end, good or bad
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from training.errors import TrackingError
from training.recipe import Recipe
from training.run import EpochResult, RunReport

_IDENTITIES_FILE = "tracking.json"

logger = logging.getLogger(__name__)

Value = str | int | float | bool


@dataclass(frozen=True)
class RunDescription:
    """What a run is called and how it is made.

    Attributes:
        recipe: The name under which its weights are registered.
        folder: What the run writes into.
        parameters: Every value of the recipe and how the data are divided.
    """

    recipe: str
    folder: Path
    parameters: Mapping[str, Value]

    @property
    def name(self) -> str:
        """For people; tells runs of one recipe apart by their folder."""
        return self.recipe if self.folder.name == self.recipe else f"{self.recipe} {self.folder.name}"


class Tracker(Protocol):
    """Somebody who keeps records of a run. All methods raise `TrackingError` where they cannot be kept."""

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        ...

    def finish(self, report: RunReport) -> None:
        """Record what the finished run hands over."""
        ...

    def close(self, *, failed: bool) -> None:
        """Say that there is no more to come."""
        ...


class Trackers:
    """Several trackers as one. A run goes on where one of them fails: that is said once an epoch."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        """Tell all of `trackers`, in their order."""
        self._trackers = trackers

    def __enter__(self) -> Self:
        """Return the trackers themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all of them, whatever happened."""
        self._tell(lambda tracker: tracker.close(failed=kind is not None))

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        self._tell(lambda tracker: tracker.write(result))

    def finish(self, report: RunReport) -> None:
        """Record what the finished run hands over."""
        self._tell(lambda tracker: tracker.finish(report))

    def _tell(self, tell: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            try:
                tell(tracker)
            except TrackingError as error:
                logger.warning("not recorded: %s", error)


def describe_run(recipe: Recipe, folder: Path, others: Mapping[str, Value]) -> RunDescription:
    """Describe a run; values of the recipe that hold others are named "section.value", lists are written as JSON."""
    values: dict[str, Value] = {}
    for name, value in recipe.model_dump(mode="json").items():
        if isinstance(value, dict):
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            values[name] = _simplify(value)
    return RunDescription(recipe.name, folder, {**values, **others})


def list_metrics(result: EpochResult) -> dict[str, float]:
    """Name what an epoch brought; what stands before a slash becomes a section of the tracker's page."""
    return {
        re.sub("^(train|validation)_", r"\1/", name): float(value)
        for name, value in vars(result).items()
        if name != "epoch" and value is not None
    }


def list_test_metrics(report: RunReport) -> dict[str, float]:
    """Name what was measured on the tests, "SPLIT/METRIC"."""
    return {
        f"{split}/{name}": float(interval["value"])
        for split, metrics in report.summary["metrics"].items()
        for name, interval in metrics.items()
        if isinstance(interval, Mapping)
    }


def recall_identity(folder: Path, tracker: str) -> str | None:
    """Find under which name a tracker keeps the run in `folder`; None where it has none."""
    path = folder / _IDENTITIES_FILE
    if not path.is_file():
        return None
    identity = json.loads(path.read_text(encoding="utf-8")).get(tracker)
    return None if identity is None else str(identity)


def remember_identity(folder: Path, tracker: str, identity: str) -> None:
    """Write it down, so that a resumed run is recorded where it was."""
    path = folder / _IDENTITIES_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, tracker: identity}, indent=2) + "\n", encoding="utf-8")


def _simplify(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
