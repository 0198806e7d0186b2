"""The parts of the service, each alone, without HTTP: the network, decoding, drawing; and a folder of files.

The network is timed as its library runs it with the options it has by default.
"""

import itertools
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort

from model.card import Preprocessing
from model.checkpoints.exported_card import OUTPUTS
from model.classifier import Classifier
from model.decoding import decode_image
from model.drawing.caption import Caption
from model.drawing.overlay import View, render
from model.drawing.png import encode_png
from model.engines.loading import load_engine
from model.preprocessing import preprocess_image
from tests.benchmark.images import load_images
from tests.load.scans import draw_scans
from tests.load.service import ROOT, ServiceError

_RATE = re.compile(r"images in [\d.]+ s: ([\d.]+) a second")


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


def time_calls(call: Callable[[], object], num_streams: int, seconds: float) -> Pace:
    """Call again and again from `num_streams` threads, after one call that does not count."""
    call()
    times: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()

    def repeat() -> None:
        while (start := time.perf_counter()) < begin + seconds:
            call()
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=repeat) for _ in range(num_streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Pace(1000 * median(times), len(times) / elapsed, 1000 * cpu / len(times))


def time_onnxruntime(path: Path, num_threads: int, num_streams: int, explain: bool, seconds: float) -> Pace:
    """Time ONNX Runtime: `num_streams` threads run one image at a time, `num_threads` work on each."""
    session, shape = _load_onnx(path, num_threads), _load_onnx(path, 1).get_inputs()[0].shape[1:]
    inputs = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    feed = {"inputs": inputs, "targets": np.array([-1], np.int64), "explain": np.array(explain)}
    return time_calls(lambda: session.run(OUTPUTS, feed), num_streams, seconds)


def time_decoding(weights: Path, kind: str, seconds: float) -> Pace:
    """Time from the file's bytes to the network's inputs."""
    images, preprocessing = itertools.cycle(load_images(kind)), _read_preprocessing(weights)
    grey = preprocessing.color == "grey"
    return time_calls(lambda: preprocess_image(decode_image(next(images), grey=grey).image, preprocessing), 1, seconds)


def time_drawing(side: int, seconds: float) -> Pace:
    """Time from a scan and its map to the PNG of the overlay."""
    image = decode_image(draw_scans("PNG", side, 1)[0]).image
    heatmap = np.random.default_rng(0).random((7, 7), np.float32)
    caption = Caption("glioma", 0.9, "glioma", 0.9)
    return time_calls(lambda: encode_png(render(image, heatmap, caption, 0.5, View.OVERLAY)), 1, seconds)


def write_folder(folder: Path, num_files: int) -> None:
    """Write JPEGs of 224 x 224."""
    scans = draw_scans("JPEG", 224, 16)
    for index in range(num_files):
        (folder / f"{index:05}.jpg").write_bytes(scans[index % len(scans)])


def time_command(weights: Path, folder: Path) -> Pace:
    """Run `python -m model predict` over a folder, and read the images a second that it prints, without its start."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "model", "predict", str(folder), "--weights", str(weights.resolve())]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command += ["--output", f"{output}/rows.jsonl"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = _RATE.search(done.stderr)
    if done.returncode or found is None:
        raise ServiceError(f"predict failed: {done.stderr[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Pace(1000 / float(found[1]), float(found[1]), 1000 * cpu / len(list(folder.iterdir())))


def time_loop(weights: Path, folder: Path) -> Pace:
    """Classify one file after the other with one thread, as anybody would."""
    classifier, files = Classifier.load(weights, num_threads=1), sorted(folder.iterdir())
    begin, cpu = time.perf_counter(), time.process_time()
    for file in files:
        classifier.predict(file.read_bytes())
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Pace(1000 * seconds / len(files), len(files) / seconds, 1000 * cpu / len(files))


@cache
def _load_onnx(path: Path, num_threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    return ort.InferenceSession(path, options, ["CPUExecutionProvider"])


@cache
def _read_preprocessing(weights: Path) -> Preprocessing:
    return load_engine(weights).card.preprocessing
