"""ONNX Runtime: the engine that serves."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded, which would else make itself an identity

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from pydantic_core import from_json

from model.card import ModelCard, parse_card
from model.engine import PREDICTED, Explanation, IndexArray, Outputs
from model.errors import CheckpointError
from model.preprocessing import FloatArray

CARD_KEY = "brain_tumor_mri_card"
SHA256_KEY = "brain_tumor_mri_checkpoint_sha256"
OUTPUTS = ("logits", "features", "heatmaps")
_FATAL = 4  # ONNX Runtime's log level; what it would log below is raised or is no defect

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxEngine:
    """An exported checkpoint in ONNX Runtime, on the CPU; see `model.export` for the graph."""

    name = "onnxruntime"

    def __init__(self, path: Path, num_threads: int = 1) -> None:
        """Load `path`.

        Raises:
            CheckpointError: If it is missing, damaged or was not exported by this project.
        """
        if not path.is_file():
            raise CheckpointError(f"cannot load {path}: there is no such file")
        ort.disable_telemetry_events()
        self._wide = _open_session(path, num_threads)
        self._narrow = self._wide if num_threads == 1 else _open_session(path, 1)
        self._lock = threading.Lock()
        self._num_running = 0
        try:
            self.card, self.sha256 = self._read_metadata()
            self._check_signature()
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {path}: {error}") from error

    card: ModelCard
    sha256: str

    def predict(self, inputs: FloatArray) -> Outputs:
        """Turn inputs (N, 3, S, S) into logits and features; the map's part of the graph is not run."""
        explanation = self._run(inputs, np.full(len(inputs), PREDICTED, np.int64), explain=False)
        return Outputs(explanation.logits, explanation.features)

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, for each image, the map of the class in `targets` (N,) or of `PREDICTED`."""
        return self._run(inputs, targets, explain=True)

    def _run(self, inputs: FloatArray, targets: IndexArray, *, explain: bool) -> Explanation:
        feed = {"inputs": inputs, "targets": targets, "explain": np.array(explain)}
        with self._session() as session:
            return Explanation(*session.run(OUTPUTS, feed))

    @contextmanager
    def _session(self) -> Iterator[ort.InferenceSession]:
        """Choose what runs: all cores on one image when it is alone, else a core an image, which wastes less."""
        with self._lock:
            self._num_running += 1
            alone = self._num_running == 1
        try:
            yield self._wide if alone else self._narrow
        finally:
            with self._lock:
                self._num_running -= 1

    def _read_metadata(self) -> tuple[ModelCard, str]:
        metadata = self._wide.get_modelmeta().custom_metadata_map
        if CARD_KEY not in metadata or SHA256_KEY not in metadata:
            raise CheckpointError("it carries no card; export it with `python -m model export`")
        try:
            fields = from_json(metadata[CARD_KEY])
        except ValueError as error:
            raise CheckpointError("its card is damaged") from error
        return parse_card(fields), metadata[SHA256_KEY]

    def _check_signature(self) -> None:
        size = self.card.preprocessing.input_size
        expected = {"inputs": [3, size, size], "targets": [], "explain": []}
        found = {node.name: list(node.shape[1:]) for node in self._wide.get_inputs()}
        if found != expected:
            raise CheckpointError("its graph does not have the inputs its card describes")
        missing = sorted(set(OUTPUTS) - {node.name for node in self._wide.get_outputs()})
        if missing:
            raise CheckpointError(
                f"its graph lacks the output {missing[0]!r}; export it again with `python -m model export`"
            )


def _open_session(path: Path, num_threads: int) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(path, _session_options(num_threads), ["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise CheckpointError(f"cannot load {path}: the file is damaged or not an ONNX model") from error


def _session_options(num_threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return options
