"""OpenVINO: an optional engine for exported checkpoints, which also computes in bfloat16 where the processor does."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
from google.protobuf.message import DecodeError

from model.engine import LOGIT_TOLERANCE, Explanation, IndexArray, Outputs, Precision
from model.errors import CheckpointError
from model.explain_branch import explain_always
from model.exported_card import OUTPUTS, check_signature, read_exported_card
from model.occupancy import Occupancy
from model.preprocessing import FloatArray

_DEVICE = "CPU"
_BF16_LOGIT_TOLERANCE = 1.0  # such a network says nearly the same; a damaged one is far off
_PLAIN = ("logits", "features")
_TYPES = {Precision.F32: "f32", Precision.BF16: "bf16"}


@cache
def load_core() -> openvino.Core:
    """Load OpenVINO itself: once, and for as long as the process lives.

    Its CPU plugin gives the thread that loads it a stack for signals, and takes the memory back with its last user. The
    thread's next signal would find no stack then, and end the process (SIGSEGV).
    """
    return openvino.Core()


class OpenvinoEngine:
    """An exported checkpoint in OpenVINO, on the CPU, one image at a time.

    Four programs are compiled of it: with and without the map; for one image on all cores, and for as many images
    as there are cores.
    """

    def __init__(self, path: Path, num_threads: int = 1, precision: Precision = Precision.F32) -> None:
        """Load `path`; with `BF16` convolutions and products have 8 significant bits, if the processor has them.

        Raises:
            CheckpointError: If it is missing, damaged or was not exported by this project.
        """
        exported = _read(path)
        try:
            metadata = {entry.key: entry.value for entry in exported.metadata_props}
            self.card, self.sha256 = read_exported_card(metadata)
            inputs = {node.name: _list_sizes(node)[1:] for node in exported.graph.input}
            check_signature(self.card, inputs, {node.name for node in exported.graph.output})
            explaining = load_core().read_model(explain_always(exported).SerializeToString())
        except (CheckpointError, RuntimeError) as error:
            reason = error if isinstance(error, CheckpointError) else "OpenVINO cannot read its graph"
            raise CheckpointError(f"cannot load {path}: {reason}") from error
        self.name = "openvino" if precision is Precision.F32 else f"openvino-{precision}"
        self.logit_tolerance = LOGIT_TOLERANCE if precision is Precision.F32 else _BF16_LOGIT_TOLERANCE
        self._occupancy = Occupancy()
        size = self.card.preprocessing.input_size
        explaining.reshape({"inputs": [1, 3, size, size], "targets": [1]})
        graphs = {_PLAIN: _select(explaining, _PLAIN), OUTPUTS: explaining}
        self._programs = {
            (outputs, alone): _Program(graph, outputs, num_threads, 1 if alone else num_threads, precision)
            for outputs, graph in graphs.items()
            for alone in ((True, False) if num_threads > 1 else (True,))
        }

    def expect(self, num_images: int) -> None:
        """Learn how many images wait or are being judged."""
        self._occupancy.expect(num_images)

    def predict(self, inputs: FloatArray) -> Outputs:
        """Turn inputs (N, 3, S, S) into logits and features."""
        found = [self._run(_PLAIN, {"inputs": image[None]}) for image in inputs]
        return Outputs(*map(np.concatenate, zip(*found, strict=True)))

    def explain(self, inputs: FloatArray, targets: IndexArray) -> Explanation:
        """Compute logits, features and, for each image, the map of the class in `targets` (N,) or of `PREDICTED`."""
        pairs = zip(inputs, targets, strict=True)
        found = [self._run(OUTPUTS, {"inputs": image[None], "targets": target[None]}) for image, target in pairs]
        return Explanation(*map(np.concatenate, zip(*found, strict=True)))

    def _run(self, outputs: tuple[str, ...], feed: Mapping[str, np.ndarray]) -> list[FloatArray]:
        with self._occupancy.enter() as alone:
            program = self._programs.get((outputs, alone)) or self._programs[outputs, True]
            return program.run(feed)


class _Program:
    """A compiled graph; each call has a request of its own, of which there are as many as ran at once."""

    def __init__(
        self, graph: Any, outputs: tuple[str, ...], num_threads: int, num_streams: int, precision: Precision
    ) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": num_streams,
            "ENABLE_CPU_PINNING": False,  # others use the cores too
        }
        self._outputs = outputs
        self._compiled = load_core().compile_model(graph, _DEVICE, options)
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def run(self, feed: Mapping[str, np.ndarray]) -> list[FloatArray]:
        with self._request() as request:
            found = request.infer(dict(feed), share_inputs=True)
            return [np.array(found[name]) for name in self._outputs]

    @contextmanager
    def _request(self) -> Iterator[Any]:
        with self._lock:
            request = self._idle.pop() if self._idle else self._compiled.create_infer_request()
        try:
            yield request
        finally:
            with self._lock:
                self._idle.append(request)


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise CheckpointError(f"cannot load {path}: there is no such file")
    try:
        exported = onnx.load(path)
        onnx.checker.check_model(exported)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise CheckpointError(f"cannot load {path}: the file is damaged or not an ONNX model") from error
    return exported


def _list_sizes(node: onnx.ValueInfoProto) -> list[int]:
    return [dimension.dim_value for dimension in node.type.tensor_type.shape.dim]


def _select(graph: Any, names: tuple[str, ...]) -> Any:
    """Make the graph that computes these outputs alone; it shares the weights."""
    outputs = {output.any_name: output.node for output in graph.outputs}
    (inputs,) = (source.node for source in graph.inputs if source.any_name == "inputs")
    return openvino.Model([outputs[name] for name in names], [inputs], "plain")
