"""Records of runs in Weights & Biases; with WANDB_MODE=offline they stay in the run's folder until `wandb sync`."""

import uuid
from contextlib import AbstractContextManager
from pathlib import Path

from training.errors import TrackingError
from training.run import EpochResult, RunReport
from training.tracking.tracker import (
    RunDescription,
    list_metrics,
    list_test_metrics,
    recall_identity,
    remember_identity,
    report_failures,
)


class WandbTracker:
    """One run of a project; the library is needed only from here on."""

    def __init__(self, project: str, run: RunDescription) -> None:
        """Start a run, or continue the one that `run.folder` remembers.

        Raises:
            TrackingError: If the library is not installed, or its server cannot be reached.
        """
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise TrackingError("--wandb needs wandb: install requirements/tracking.txt") from error
        self._description = run
        identity = recall_identity(run.folder, "wandb") or uuid.uuid4().hex
        with self._reporting():
            self._run = wandb.init(
                project=project,
                name=run.name,
                id=identity,
                resume="allow",
                dir=run.folder,
                config=dict(run.parameters),
                settings=wandb.Settings(silent=True, console="off"),
            )
        remember_identity(run.folder, "wandb", identity)

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        with self._reporting():
            self._run.log(list_metrics(result), step=result.epoch)

    def show(self, name: str, picture: Path, epoch: int) -> None:
        """Record a picture; at the end the epoch may lie behind, which W&B would refuse."""
        import wandb

        del epoch
        with self._reporting():
            self._run.log({name: wandb.Image(str(picture))})

    def finish(self, report: RunReport) -> None:
        """Record test metrics and, as an artefact of the recipe's name, the weights."""
        import wandb

        with self._reporting():
            self._run.summary.update(list_test_metrics(report))
            weights = wandb.Artifact(self._description.recipe, "model", metadata={"sha256": report.summary["sha256"]})
            for path in (report.checkpoint, report.exported):
                weights.add_file(str(path))
            self._run.log_artifact(weights)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        with self._reporting():
            self._run.finish(exit_code=int(failed))

    def _reporting(self) -> AbstractContextManager[None]:
        import wandb

        return report_failures("Weights & Biases", wandb.Error)
