"""Records of runs in MLflow: parameters, metrics by epoch, pictures, and a version of the registered model."""

import os
import warnings
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import onnx

from training.errors import TrackingError
from training.run import CURVES_FILE, FIGURES_FOLDER, EpochResult, RunReport
from training.tracking.tracker import (
    SOURCE,
    RunDescription,
    list_metrics,
    list_test_metrics,
    recall_identity,
    remember_identity,
    report_failures,
)

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

EXPERIMENT = "brain-tumor-mri"
_PARAMETERS_AT_ONCE = 100  # more are refused
_REQUIREMENTS = ("onnx", "onnxruntime", "numpy")  # of those who load the model by MLflow


class MlflowTracker:
    """One run on an MLflow server or in a database; the library is needed only from here on."""

    def __init__(self, uri: str, run: RunDescription) -> None:
        """Start a run, or continue the one that `run.folder` remembers.

        Args:
            uri: Of a server, or of a database such as `sqlite:///mlflow.db`.

        Raises:
            TrackingError: If the library is not installed, or the server cannot be reached.
        """
        _set_defaults()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its parts, about each other
                import mlflow.onnx
                import mlflow.pyfunc
        except ModuleNotFoundError as error:
            raise TrackingError("--mlflow needs MLflow: install requirements/tracking.txt") from error
        self._uri, self._run, self._mlflow = uri, run, mlflow
        known = recall_identity(run.folder, "mlflow")
        with self._reporting():
            mlflow.set_tracking_uri(uri)
            mlflow.set_experiment(EXPERIMENT)
            started = mlflow.start_run(run_id=known, run_name=run.name, tags=_name_tags(run))
            if known is None:
                parameters = list(run.parameters.items())
                for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
                    mlflow.log_params(dict(parameters[start : start + _PARAMETERS_AT_ONCE]))
                remember_identity(run.folder, "mlflow", started.info.run_id)

    def write(self, result: EpochResult) -> None:
        """Record one epoch."""
        with self._reporting():
            self._mlflow.log_metrics(list_metrics(result), result.epoch)

    def show(self, name: str, picture: Path, epoch: int) -> None:
        """Record a picture among the files: on MLflow's own cards of images the parameters leave no room for it."""
        del epoch
        with self._reporting():
            self._mlflow.log_artifact(str(picture), str(PurePosixPath(FIGURES_FOLDER, name).parent))

    def finish(self, report: RunReport) -> None:
        """Record test metrics and files, and register the weights under the recipe's name."""
        with self._reporting():
            self._mlflow.log_metrics(list_test_metrics(report), report.best_epoch)
            for name in ("summary.json", "log.csv", CURVES_FILE):
                self._mlflow.log_artifact(str(self._run.folder / name))
            self._register(report)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        with self._reporting():
            self._mlflow.end_run("FAILED" if failed else "FINISHED")

    def _register(self, report: RunReport) -> None:
        exported = onnx.load(report.exported)
        self._mlflow.onnx.log_model(
            exported,
            name="model",
            registered_model_name=self._run.recipe,
            signature=_describe_signature(exported),
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,  # one file, which the service reads as well
            extra_files=[str(report.checkpoint)],
            step=report.best_epoch,
            tags={"sha256": report.summary["sha256"]},
        )

    def _reporting(self) -> AbstractContextManager[None]:
        from mlflow.exceptions import MlflowException

        return report_failures(f"MLflow at {self._uri}", MlflowException)


def _name_tags(run: RunDescription) -> dict[str, str]:
    from mlflow.utils import mlflow_tags

    commit, _, dirty = run.commit.partition("-")
    git = {mlflow_tags.MLFLOW_GIT_COMMIT: commit, mlflow_tags.MLFLOW_GIT_DIRTY: str(bool(dirty)).lower()}
    return {mlflow_tags.MLFLOW_SOURCE_NAME: SOURCE, **(git if commit else {})}


def _describe_signature(exported: onnx.ModelProto) -> "ModelSignature":
    from mlflow.models import ModelSignature

    return ModelSignature(_describe_tensors(exported.graph.input), _describe_tensors(exported.graph.output))


def _describe_tensors(values: onnx.ValueInfoProto) -> "Schema":
    from mlflow.types import ColSpec, Schema, TensorSpec

    specs: list[ColSpec | TensorSpec] = []
    for value in values:
        tensor = value.type.tensor_type
        shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
        specs.append(TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), shape, value.name))
    return Schema(specs)


def _set_defaults() -> None:
    """Set what MLflow would ask for; the user's own settings stay."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # of 7: a run waits for each of them
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # where a folder is named
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # a new database tells of each of its tables
