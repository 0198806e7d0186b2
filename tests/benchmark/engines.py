"""The network alone, without decoding and without HTTP; each function runs in a process kept for engines.

What is timed is the library with the options it has by default: nothing of ours that could make it slow.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from model.checkpoints.exported_card import OUTPUTS


@dataclass(frozen=True)
class Pace:
    """How fast something ran.

    Attributes:
        ms: Median time of one call.
        rate: Calls a second, of all streams together.
        cpu_ms: Processor time of the process, a call.
    """

    ms: float
    rate: float
    cpu_ms: float


def time_onnxruntime(path: Path, num_threads: int, num_streams: int, explain: bool, seconds: float) -> Pace:
    """Time ONNX Runtime: `num_streams` threads ask for one image at a time, `num_threads` work on each."""
    session, feed = _load_onnx(path, num_threads), _make_feed(path, explain=explain)
    return time_calls(lambda: session.run(OUTPUTS, feed), num_streams, seconds)


def time_torch(path: Path, num_threads: int, seconds: float) -> Pace:
    """Time torch as it comes ("eager")."""
    import torch

    network, inputs = _load_torch(path)
    torch.set_num_threads(num_threads)

    def call() -> object:
        with torch.inference_mode():
            return network(inputs)

    return time_calls(call, 1, seconds)


def time_torch_cam(path: Path, num_threads: int, seconds: float) -> Pace:
    """Time torch with Grad-CAM by hooks and a backward pass."""
    import torch

    cam, inputs = _load_torch_cam(path)
    torch.set_num_threads(num_threads)
    return time_calls(lambda: cam.explain(inputs), 1, seconds)


def time_calls(call: Callable[[], object], num_streams: int, seconds: float) -> Pace:
    """Call again and again from several threads, after one call that does not count."""
    call()
    times: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()

    def repeat() -> None:
        while (start := time.perf_counter()) < begin + seconds:
            call()
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=repeat) for _ in range(num_streams - 1)]
    for thread in threads:
        thread.start()
    repeat()
    for thread in threads:
        thread.join()
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Pace(1000 * float(np.median(times)), len(times) / elapsed, 1000 * cpu / len(times))


@cache
def _load_onnx(path: Path, num_threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    return ort.InferenceSession(path, options, ["CPUExecutionProvider"])


def _make_feed(path: Path, *, explain: bool) -> dict[str, np.ndarray]:
    shape = _load_onnx(path, 1).get_inputs()[0].shape[1:]
    inputs = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    return {"inputs": inputs, "targets": np.array([-1], np.int64), "explain": np.array(explain)}


@cache
def _load_torch(path: Path) -> Any:
    import torch

    from model.checkpoints.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    size = checkpoint.card.preprocessing.input_size
    return checkpoint.network.eval(), torch.randn(1, 3, size, size)


@cache
def _load_torch_cam(path: Path) -> Any:
    from model.checkpoints.checkpoint import load_checkpoint
    from tests.benchmark.usual import HookedGradCam

    checkpoint = load_checkpoint(path)
    return HookedGradCam(checkpoint.network, checkpoint.card.gradcam_layer), _load_torch(path)[1]
