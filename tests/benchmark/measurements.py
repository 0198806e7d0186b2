"""What is measured, by name; one round measures everything once, so that all share what the machine was like."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from model.host.cores import available_cores
from tests.benchmark.decoding import time_decoding, time_drawing
from tests.benchmark.engines import Pace, time_onnxruntime, time_torch, time_torch_cam
from tests.benchmark.folder import time_command, time_loop, write_folder
from tests.benchmark.load import Load, apply_load
from tests.benchmark.options import Options
from tests.benchmark.pictures import draw_pictures
from tests.benchmark.systems import Running, Start, System, list_systems, run_system, time_start, wake
from tests.benchmark.training import time_arithmetic, time_training

PREDICT, VISUALIZE = "/predict", "/predict/visualize"
KINDS = tuple((form, side) for side in (224, 512) for form in ("JPEG", "PNG"))
NUM_CLIENTS = (1, 8, 32)
TRAINING, ARITHMETIC = "training/ours", "training/forward, backward, step"
_MAIN = ((PREDICT, ("JPEG", 224)), (VISUALIZE, ("JPEG", 224)), (VISUALIZE, ("JPEG", 512)))


@dataclass(frozen=True)
class Measurement:
    """Something to measure once in each round."""

    name: str
    measure: Callable[[], Awaitable[Pace | Load | Start]]


@asynccontextmanager
async def prepare(options: Options, part: str = "") -> AsyncIterator[list[Measurement]]:
    """Start what is measured of all that has `part` in its name.

    Servers and the processes of the engines wait for their turns side by side.

    Raises:
        BenchmarkError: If a server does not start.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_folder(folder, options.num_files)
        child, torch_child = (stack.enter_context(_start_child()) for _ in range(2))
        measurements = [
            *(Measurement(name, partial(_run, child, call)) for name, call in _list_calls(options, folder)),
            *(Measurement(name, partial(_run, torch_child, call)) for name, call in _list_torch_calls(options)),
            Measurement("folder/command", partial(asyncio.to_thread, time_command, options.weights, folder)),
        ]
        for system in list_systems(options):
            loads = [load for load in _list_loads(system) if part in load.name]
            if loads or part in f"start/{system.name}":
                running = await stack.enter_async_context(run_system(system))
                os.killpg(running.process.pid, signal.SIGSTOP)
                measurements.append(Measurement(f"start/{system.name}", partial(_find_start, running)))
                measurements += [Measurement(load.name, partial(_measure, load, running, options)) for load in loads]
        yield [measurement for measurement in measurements if part in measurement.name]


@dataclass(frozen=True)
class _Load:
    """Clients that ask a system for one kind of answer about one kind of picture."""

    system: System
    path: str
    kind: tuple[str, int]
    num_clients: int

    @property
    def name(self) -> str:
        return name_load(self.system.name, self.path, *self.kind, self.num_clients)


def _list_calls(options: Options, folder: Path) -> Iterator[tuple[str, Callable[[], Pace]]]:
    num_cores, seconds = available_cores(), options.seconds
    for explain in (False, True):
        for num_threads, num_streams in sorted({(1, 1), (num_cores, 1), (1, num_cores)}):
            name = name_engine("onnxruntime", num_threads, num_streams, explain=explain)
            yield name, partial(time_onnxruntime, options.weights, num_threads, num_streams, explain, seconds)
    for form, side in KINDS:
        yield f"decode/{form} {side}", partial(time_decoding, options.weights, form, side, seconds / 3)
    for side in (224, 512):
        yield f"draw/{side}", partial(time_drawing, side, seconds / 3)
    yield "folder/loop", partial(time_loop, options.weights, folder)


def _list_torch_calls(options: Options) -> Iterator[tuple[str, Callable[[], Pace]]]:
    for num_threads in sorted({1, available_cores()}):
        name = name_engine("torch", num_threads, 1)
        yield name, partial(time_torch, options.checkpoint, num_threads, options.slow_seconds / 2)
    name = name_engine("torch", available_cores(), 1, explain=True)
    yield name, partial(time_torch_cam, options.checkpoint, available_cores(), options.slow_seconds / 2)
    yield TRAINING, time_training
    yield ARITHMETIC, time_arithmetic


def _list_loads(system: System) -> Iterator[_Load]:
    wanted = (
        _MAIN
        if system.is_slow or system.is_optional
        else [(path, kind) for path in (PREDICT, VISUALIZE) for kind in KINDS]
    )
    for path, kind in wanted:
        if path == PREDICT or system.draws:
            yield from (_Load(system, path, kind, num_clients) for num_clients in NUM_CLIENTS)


async def _find_start(running: Running) -> Start:
    """Start ours once more; how long the others take in the first place is as good as anything."""
    others = running.system.is_slow or running.system.is_optional
    return running.start if others else await time_start(running.system)


async def _measure(load: _Load, running: Running, options: Options) -> Load:
    requests = [load.system.write_request(load.path, picture) for picture in draw_pictures(*load.kind)]
    seconds = options.slow_seconds if load.system.is_slow else options.seconds
    with wake(running):
        return await apply_load(running.port, running.process.pid, requests, load.num_clients, seconds)


def name_engine(library: str, num_threads: int, num_streams: int, *, explain: bool = False) -> str:
    """Name the measurement of a bare engine."""
    return f"engine/{library}{' with map' if explain else ''}/{num_threads} threads/{num_streams} streams"


def name_load(system: str, path: str, form: str, side: int, num_clients: int) -> str:
    """Name the measurement of a service."""
    return f"http/{system}{path}/{form} {side}/{num_clients} clients"


def _start_child() -> ProcessPoolExecutor:
    """Make a process that keeps what it has loaded, apart from ours, which sends the requests.

    NumPy's own threads stay out of it, as they do in the service.
    """
    return ProcessPoolExecutor(1, get_context("spawn"), threadpool_limits, (1, "blas"))


async def _run(child: ProcessPoolExecutor, call: Callable[[], Pace]) -> Pace:
    return await asyncio.get_running_loop().run_in_executor(child, call)
