"""Many files on the command line, against a loop that anybody would write; both over the same folder."""

import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from model.classifier import Classifier
from tests.benchmark.engines import Pace
from tests.benchmark.load import BenchmarkError
from tests.benchmark.pictures import draw_pictures
from tests.soak.server import ROOT

_RATE = re.compile(r"images in [\d.]+ s: ([\d.]+) a second")
_NUM_DRAWN = 16
_SIDE = 224


def write_folder(folder: Path, num_files: int) -> None:
    """Write JPEGs of 224 x 224."""
    pictures = draw_pictures("JPEG", _SIDE, _NUM_DRAWN)
    for index in range(num_files):
        (folder / f"{index:05}.jpg").write_bytes(pictures[index % _NUM_DRAWN].data)


def time_command(weights: Path, folder: Path) -> Pace:
    """Run `python -m model predict` over a folder, and believe the images a second that it tells: its start is apart.

    Raises:
        BenchmarkError: If it fails.
    """
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "model", "predict", str(folder), "--weights", str(weights.resolve())]
        before = _children_cpu_seconds()
        done = subprocess.run(
            [*command, "--output", f"{output}/rows.jsonl"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    found = _RATE.search(done.stderr)
    if done.returncode or found is None:
        raise BenchmarkError(f"predict failed: {done.stderr[-500:]}")
    rate, num_files = float(found[1]), len(list(folder.iterdir()))
    return Pace(1000 / rate, rate, 1000 * (_children_cpu_seconds() - before) / num_files)


def time_loop(weights: Path, folder: Path) -> Pace:
    """Predict one file after the other with one thread; runs in a process of its own."""
    classifier, files = _load(weights), sorted(folder.iterdir())
    begin, cpu = time.perf_counter(), time.process_time()
    for file in files:
        classifier.predict(file.read_bytes())
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Pace(1000 * seconds / len(files), len(files) / seconds, 1000 * cpu / len(files))


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@cache
def _load(weights: Path) -> Classifier:
    return Classifier.load(weights, num_threads=1)
