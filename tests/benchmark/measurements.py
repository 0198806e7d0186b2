"""The measurements by name; one round takes each once, so that all share what the machine was like."""

import asyncio
import base64
import importlib
import importlib.util
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
from tests.load.scans import draw_scans
from tests.load.service import OURS, Service, run_service

PREDICT, VISUALIZE = "/predict", "/predict/visualize"
KINDS = tuple((form, side) for side in (224, 512) for form in ("JPEG", "PNG"))
NUM_CLIENTS = (1, 8, 32)
TRAINING, ARITHMETIC = "training/ours", "training/forward, backward, step"
MAIN_PATHS = ((PREDICT, ("JPEG", 224)), (VISUALIZE, ("JPEG", 224)), (VISUALIZE, ("JPEG", 512)))
ALL_PATHS = tuple((path, kind) for path in (PREDICT, VISUALIZE) for kind in KINDS)


@dataclass(frozen=True)
class System:
    """A way to serve the network.

    Attributes:
        arguments: Of Python; "{port}" stands for the port.
        create_request: Writes a request from path, image and kind.
        is_slow: Whether it needs a longer measurement.
    """

    name: str
    arguments: Sequence[str]
    settings: Mapping[str, object] = field(default_factory=dict)
    paths: Sequence[tuple[str, tuple[str, int]]] = MAIN_PATHS
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

    Services and the processes of the parts wait for their turns side by side.
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
        for system in _list_systems(options):
            if any(part in name for name in (f"start/{system.name}", *_name_loads(system))):
                service = await stack.enter_async_context(run_service(system.settings, system.arguments))
                measurements += _list_measurements(system, service, options)
        yield [measurement for measurement in measurements if part in measurement.name]


def _list_systems(options: Options) -> Iterator[System]:
    """List ours, the usual one, and what is installed beside them."""
    checkpoint = str(options.checkpoint.resolve())
    settings = {"MODEL_PATH": options.weights.resolve(), "DRAIN_SECONDS": 0}
    yield System("ours", OURS, settings, ALL_PATHS, is_slow=False)
    yield System("usual", ("-m", "tests.benchmark.usual", "{port}", checkpoint))
    if importlib.util.find_spec("litserve") is not None:
        command = ("-m", "tests.benchmark.litserve_server", "{port}", checkpoint)
        yield System("litserve", command, paths=MAIN_PATHS[:1], create_request=_write_base64)


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


def _list_measurements(system: System, service: Service, options: Options) -> Iterator[Measurement]:
    """List the measurements of a service that has just started; it stands still but during them."""
    start = _describe_start(service)
    service.send_to_all(signal.SIGSTOP)  # some are busy even when idle
    seconds = options.slow_seconds if system.is_slow else options.seconds

    async def start_again() -> Start:
        if system.is_slow:
            return start
        async with run_service(system.settings, system.arguments) as another:
            return _describe_start(another)

    async def measure(path: str, kind: tuple[str, int], num_clients: int) -> Load:
        requests = [system.create_request(path, scan, path) for scan in draw_scans(*kind)]
        service.send_to_all(signal.SIGCONT)
        try:
            return await measure_load(service, requests, num_clients, seconds)
        finally:
            service.send_to_all(signal.SIGSTOP)

    yield Measurement(f"start/{system.name}", start_again)
    for name, load in _name_loads(system).items():
        yield Measurement(name, partial(measure, *load))


def _name_loads(system: System) -> dict[str, tuple[str, tuple[str, int], int]]:
    loads = [(path, kind, num_clients) for path, kind in system.paths for num_clients in NUM_CLIENTS]
    return {
        name_load(system.name, path, *kind, num_clients): (path, kind, num_clients) for path, kind, num_clients in loads
    }


def name_engine(library: str, num_threads: int, num_streams: int, *, explain: bool = False) -> str:
    return f"engine/{library}{' with map' if explain else ''}/{num_threads} threads/{num_streams} streams"


def name_load(system: str, path: str, form: str, side: int, num_clients: int) -> str:
    return f"http/{system}{path}/{form} {side}/{num_clients} clients"


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
