"""The measurements by name; one round takes each once, so that all share what the machine was like."""

import asyncio
import base64
import importlib
import importlib.util
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from model.host.cores import available_cores
from tests.benchmark.images import KINDS, ORIGINAL, load_images
from tests.benchmark.load import Load, measure_load
from tests.benchmark.options import Options
from tests.benchmark.parts import (
    Pace,
    time_command,
    time_decoding,
    time_drawing,
    time_loop,
    time_onnxruntime,
    write_folder,
)
from tests.load.request import Request, post_form, post_json
from tests.load.service import OURS, Service, run_service

PREDICT, VISUALIZE = "/predict", "/predict/visualize"
NUM_CLIENTS = (1, 8, 32)
TRAINING, ARITHMETIC = "training/ours", "training/forward, backward, step"
PREDICT_PATHS = ((PREDICT, "JPEG 224"), (PREDICT, ORIGINAL))
MAIN_PATHS = (*PREDICT_PATHS, (VISUALIZE, "JPEG 512"))
ALL_PATHS = tuple((path, kind) for path in (PREDICT, VISUALIZE) for kind in KINDS)
_Load = tuple[str, str, int]  # path, kind of images, number of clients


@dataclass(frozen=True)
class System:
    """A way to serve the network.

    Attributes:
        arguments: Of Python; "{port}" stands for the port.
        create_request: Writes a request from path, image and kind.
        paths: Each with the kind of images that is sent there.
        is_slow: Whether it needs a longer measurement.
    """

    name: str
    arguments: Sequence[str]
    settings: Mapping[str, object] = field(default_factory=dict)
    paths: Sequence[tuple[str, str]] = MAIN_PATHS
    create_request: Callable[[str, bytes, str], Request] = post_form
    is_slow: bool = True


@dataclass(frozen=True)
class Start:
    """From the start of the process to the first 200 of `/readyz`, and the memory it has then."""

    seconds: float
    memory_mib: float


@dataclass(frozen=True)
class Measurement:
    """Something to measure once in each round."""

    name: str
    measure: Callable[[], Awaitable[Pace | Load | Start]]


@asynccontextmanager
async def prepare(options: Options, part: str = "") -> AsyncIterator[list[Measurement]]:
    """Start what is needed for the measurements with `part` in their names.

    Services and the processes of the parts wait for their turns side by side; under each load the services come one
    right after the other.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_folder(folder, options.num_files)
        child, torch_child = (stack.enter_context(_create_child()) for _ in range(2))
        measurements = [
            *(Measurement(name, partial(_run, child, call)) for name, call in _list_calls(options, folder)),
            *(Measurement(name, partial(_run, torch_child, call)) for name, call in _list_torch_calls(options)),
            Measurement("folder/command", partial(asyncio.to_thread, time_command, options.weights, folder)),
        ]
        measurements += await _start_services(stack, options, part)
        yield [measurement for measurement in measurements if part in measurement.name]


def _list_systems(options: Options) -> Iterator[System]:
    """List ours, the lean one, the usual one, and what is installed beside them."""
    weights, checkpoint = str(options.weights.resolve()), str(options.checkpoint.resolve())
    yield System("ours", OURS, {"MODEL_PATH": weights, "DRAIN_SECONDS": 0}, ALL_PATHS, is_slow=False)
    lean = ("-m", "tests.benchmark.lean", "{port}", weights)
    yield System("lean", lean, paths=PREDICT_PATHS, is_slow=False)
    yield System("usual", ("-m", "tests.benchmark.usual", "{port}", checkpoint))
    if importlib.util.find_spec("litserve") is not None:
        command = ("-m", "tests.benchmark.litserve_server", "{port}", checkpoint)
        yield System("litserve", command, paths=PREDICT_PATHS, create_request=_write_base64)


def _list_calls(options: Options, folder: Path) -> Iterator[tuple[str, Callable[[], Pace]]]:
    num_cores, seconds = available_cores(), options.seconds
    for explain in (False, True):
        for num_threads, num_streams in sorted({(1, 1), (num_cores, 1), (1, num_cores)}):
            name = name_engine("onnxruntime", num_threads, num_streams, explain=explain)
            yield name, partial(time_onnxruntime, options.weights, num_threads, num_streams, explain, seconds)
    for kind in KINDS:
        yield f"decode/{kind}", partial(time_decoding, options.weights, kind, seconds / 3)
    for side in (224, 512):
        yield f"draw/{side}", partial(time_drawing, side, seconds / 3)
    yield "folder/loop", partial(time_loop, options.weights, folder)


def _list_torch_calls(options: Options) -> Iterator[tuple[str, Callable[[], Pace]]]:
    path, seconds = options.checkpoint, options.slow_seconds / 2
    for num_threads in sorted({1, available_cores()}):
        yield name_engine("torch", num_threads, 1), partial(_call_torch, "time_torch", path, num_threads, seconds)
    name = name_engine("torch", available_cores(), 1, explain=True)
    yield name, partial(_call_torch, "time_torch_cam", path, available_cores(), seconds)
    yield TRAINING, partial(_call_torch, "time_training")
    yield ARITHMETIC, partial(_call_torch, "time_arithmetic")


def _call_torch(name: str, *arguments: object) -> Pace:
    """Call a function of `torch_parts`, which no process may import that needs no torch."""
    pace: Pace = getattr(importlib.import_module("tests.benchmark.torch_parts"), name)(*arguments)
    return pace


async def _start_services(stack: AsyncExitStack, options: Options, part: str) -> list[Measurement]:
    """Start the services that are measured; list their starts, then each load with the services in turn."""
    starts: list[Measurement] = []
    loads: dict[_Load, list[Measurement]] = {}
    for system in _list_systems(options):
        names = _name_loads(system)
        if any(part in name for name in (f"start/{system.name}", *names.values())):
            service = await stack.enter_async_context(run_service(system.settings, system.arguments))
            seconds = options.slow_seconds if system.is_slow else options.seconds
            subject = _Subject(system, service, _describe_start(service), seconds)
            service.send_to_all(signal.SIGSTOP)  # some are busy even when idle
            starts.append(Measurement(f"start/{system.name}", subject.start_again))
            for load, name in names.items():
                loads.setdefault(load, []).append(Measurement(name, partial(subject.measure, *load)))
    return [*starts, *itertools.chain(*loads.values())]


@dataclass(frozen=True)
class _Subject:
    """A started service, which stands still but while it is measured for so many seconds."""

    system: System
    service: Service
    start: Start
    seconds: float

    async def start_again(self) -> Start:
        if self.system.is_slow:
            return self.start
        async with run_service(self.system.settings, self.system.arguments) as another:
            return _describe_start(another)

    async def measure(self, path: str, kind: str, num_clients: int) -> Load:
        requests = [self.system.create_request(path, image, path) for image in load_images(kind)]
        self.service.send_to_all(signal.SIGCONT)
        try:
            return await measure_load(self.service, requests, num_clients, self.seconds)
        finally:
            self.service.send_to_all(signal.SIGSTOP)


def _name_loads(system: System) -> dict[_Load, str]:
    loads = [(*path, num_clients) for path in system.paths for num_clients in NUM_CLIENTS]
    return {load: name_load(system.name, *load) for load in loads}


def name_engine(library: str, num_threads: int, num_streams: int, *, explain: bool = False) -> str:
    return f"engine/{library}{' with map' if explain else ''}/{num_threads} threads/{num_streams} streams"


def name_load(system: str, path: str, kind: str, num_clients: int) -> str:
    return f"http/{system}{path}/{kind}/{num_clients} clients"


def _describe_start(service: Service) -> Start:
    return Start(service.start_seconds, service.memory_bytes / 2**20)


def _write_base64(path: str, data: bytes, kind: str) -> Request:
    return post_json(path, {"image": base64.b64encode(data).decode()}, kind)


def _create_child() -> ProcessPoolExecutor:
    """Create a process that keeps what it has loaded, apart from ours, which sends the requests.

    NumPy's own threads stay out of it, as they do in the service.
    """
    return ProcessPoolExecutor(1, get_context("spawn"), threadpool_limits, (1, "blas"))


async def _run(child: ProcessPoolExecutor, call: Callable[[], Pace]) -> Pace:
    return await asyncio.get_running_loop().run_in_executor(child, call)
