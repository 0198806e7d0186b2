"""ONNX Runtime: the engine of the service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at import, which else stores an identifier

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from model.card import ModelCard
from model.checkpoints.exported_card import OUTPUTS, check_signature, read_exported_card
from model.engines.engine import PREDICTED, Explanation, IndexArray, Outputs
from model.engines.occupancy import Occupancy
from model.errors import CheckpointError
from model.images.decoded import FloatArray

_FATAL = 4  # log level; ONNX Runtime raises errors as well as logging them

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
        self._occupancy = Occupancy()
        try:
            self.card, self.sha256 = read_exported_card(self._wide.get_modelmeta().custom_metadata_map)
            self._check_signature()
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {path}: {error}") from error

    card: ModelCard
    sha256: str

    def expect(self, num_images: int) -> None:
        """Set the number of images in the queue or in progress."""
        self._occupancy.expect(num_images)

    def predict(self, inputs: FloatArray) -> Outputs:
        """Compute logits and features of inputs (N, 3, S, S), without the graph's part for heatmaps."""
        explanation = self._run(inputs, np.full(len(inputs), PREDICTED, np.int64), explain=False)
        return Outputs(explanation.logits, explanation.features)

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, of each image, the map of its class in `targets` (N,) or of `PREDICTED`."""
        return self._run(inputs, targets, explain=True)

    def _run(self, inputs: FloatArray, targets: IndexArray, *, explain: bool) -> Explanation:
        feed = {"inputs": inputs, "targets": targets, "explain": np.array(explain)}
        with self._session() as session:
            return Explanation(*session.run(OUTPUTS, feed))

    @contextmanager
    def _session(self) -> Iterator[ort.InferenceSession]:
        """Choose all cores for a single image, else a core for each, which wastes less."""
        with self._occupancy.enter() as alone:
            yield self._wide if alone else self._narrow

    def _check_signature(self) -> None:
        inputs = {node.name: list(node.shape[1:]) for node in self._wide.get_inputs()}
        check_signature(self.card, inputs, {node.name for node in self._wide.get_outputs()})


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
    # Idle threads may spin within a run; between runs their cores are for others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
