"""Records of runs in MLflow: parameters, metrics by epoch, files, and a version of the registered model."""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from urllib.parse import urlparse

from training.errors import TrackingError
from training.run import CURVES_FILE, EpochResult, RunReport
from training.tracking.tracker import (
    RunDescription,
    list_metrics,
    list_test_metrics,
    recall_identity,
    remember_identity,
    report_failures,
)

EXPERIMENT = "brain-tumor-mri"
_MODEL_FOLDER = "model"  # of the run's artefacts
_ALREADY_THERE = "RESOURCE_ALREADY_EXISTS"
_PARAMETERS_AT_ONCE = 100  # more are refused


class MlflowTracker:
    """One run on an MLflow server, or in a folder; the library is needed only from here on."""

    def __init__(self, uri: str, run: RunDescription) -> None:
        """Start a run, or continue the one that `run.folder` remembers.

        Args:
            uri: Of a server, or `file:FOLDER`; databases need a server in front of them.

        Raises:
            TrackingError: If the library is not installed, or the server cannot be reached.
        """
        _set_defaults(uri)
        try:
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError as error:
            raise TrackingError("--mlflow needs MLflow: install requirements/tracking.txt") from error
        self._uri, self._run = uri, run
        with self._reporting():
            self._client = MlflowClient(tracking_uri=uri)
            self._id = recall_identity(run.folder, "mlflow") or self._start()

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        self._log_metrics(list_metrics(result), result.epoch)

    def finish(self, report: RunReport) -> None:
        """Record test metrics and files, and register the weights under the recipe's name."""
        self._log_metrics(list_test_metrics(report), report.summary["training"]["best_epoch"])
        with self._reporting():
            for path in (report.checkpoint, report.exported):
                self._client.log_artifact(self._id, str(path), _MODEL_FOLDER)
            for name in ("summary.json", "log.csv", CURVES_FILE):
                self._client.log_artifact(self._id, str(self._run.folder / name))
            self._register(report)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        with self._reporting():
            self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def _start(self) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        identity = str(self._client.create_run(experiment, run_name=self._run.name).info.run_id)
        parameters = [Param(name, str(value)) for name, value in self._run.parameters.items()]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(identity, params=parameters[start : start + _PARAMETERS_AT_ONCE])
        remember_identity(self._run.folder, "mlflow", identity)
        return identity

    def _log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        with self._reporting():
            self._client.log_batch(
                self._id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()]
            )

    def _register(self, report: RunReport) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._run.recipe)
        except MlflowException as error:
            if error.error_code != _ALREADY_THERE:
                raise
        artifacts = self._client.get_run(self._id).info.artifact_uri
        self._client.create_model_version(
            self._run.recipe,
            source=f"{artifacts}/{_MODEL_FOLDER}",
            run_id=self._id,
            tags={"sha256": report.summary["sha256"]},
        )

    def _reporting(self) -> AbstractContextManager[None]:
        from mlflow.exceptions import MlflowException

        return report_failures(f"MLflow at {self._uri}", MlflowException)


def _set_defaults(uri: str) -> None:
    """Set what MLflow would ask for; the user's own settings stay."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of 7: a run waits for each of them
    if urlparse(uri).scheme in ("", "file"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # of one run it is enough, and needs no database
