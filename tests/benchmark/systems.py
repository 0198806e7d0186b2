"""The services that are measured, each in processes of its own."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from tests.benchmark.load import BenchmarkError
from tests.benchmark.options import Options
from tests.benchmark.pictures import Picture
from tests.benchmark.requests import form_request, json_request
from tests.soak.client import HOST, Connection, LostError
from tests.soak.processes import measure_memory
from tests.soak.server import ROOT

_START_SECONDS = 60.0
_END_SECONDS = 15.0
_POLL_SECONDS = 0.005
_LOG_BYTES = 2000  # of the end, where the error stands
_READY = b"GET /readyz HTTP/1.1\r\nHost: benchmark\r\n\r\n"


@dataclass(frozen=True)
class System:
    """A way to serve the network.

    Attributes:
        arguments: Of Python; "{port}" stands for the port.
        draws: Whether it has `/predict/visualize`.
        is_slow: Whether it needs a longer measurement.
        is_optional: Whether it is another one with one part changed, of which the main paths are enough.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    write_request: Callable[[str, Picture], bytes] = form_request
    draws: bool = True
    is_slow: bool = False
    is_optional: bool = False


@dataclass(frozen=True)
class Running:
    """A started system."""

    system: System
    port: int
    process: subprocess.Popen[bytes]
    start: "Start"


@dataclass(frozen=True)
class Start:
    """From the start of the process to the first 200 of `/readyz`, and the memory it has then."""

    seconds: float
    memory_mib: float


def list_systems(options: Options) -> list[System]:
    """List ours, the usual one, and what is installed beside them."""
    ours = {"BRAIN_MRI_MODEL_PATH": str(options.weights.resolve()), "BRAIN_MRI_LOG_LEVEL": "warning"}
    checkpoint = str(options.checkpoint.resolve())
    systems = [
        System("ours", ("-m", "api"), ours),
        System("usual", ("-m", "tests.benchmark.usual", "{port}", checkpoint), is_slow=True),
    ]
    if importlib.util.find_spec("litserve") is not None:
        command = ("-m", "tests.benchmark.litserve_server", "{port}", checkpoint)
        systems.append(System("litserve", command, {}, json_request, draws=False, is_slow=True))
    return systems


@asynccontextmanager
async def run_system(system: System) -> AsyncIterator[Running]:
    """Start a system, wait until it is ready, and end it whatever happens.

    Raises:
        BenchmarkError: If it does not become ready.
    """
    port = _find_free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in system.arguments)]
    environment = {**os.environ, "BRAIN_MRI_PORT": str(port), "BRAIN_MRI_DRAIN_SECONDS": "0", **system.environment}
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            if not await _wait_until_ready(process, port):
                log.seek(0)
                text = log.read()[-_LOG_BYTES:].decode(errors="replace")
                raise BenchmarkError(f"{system.name} did not become ready:\n{text}")
            start = Start(time.perf_counter() - begin, measure_memory(process.pid) / 2**20)
            yield Running(system, port, process, start)
        finally:
            _end(process)


@contextmanager
def wake(running: Running) -> Iterator[None]:
    """Let a system run while the block does; before and after it stands still, since some are busy even when idle."""
    os.killpg(running.process.pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.killpg(running.process.pid, signal.SIGSTOP)


async def time_start(system: System) -> Start:
    """Start a system once more, and end it when it is ready."""
    async with run_system(system) as running:
        return running.start


async def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.perf_counter() + _START_SECONDS
    while time.perf_counter() < deadline and process.poll() is None:
        if await _is_ready(port):
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


async def _is_ready(port: int) -> bool:
    try:
        connection = await Connection.open(port)
    except ConnectionError:
        return False
    try:
        await connection.send(_READY)
        return (await connection.read_answer()).status == 200
    except LostError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started: some do not end their own workers."""
    process.terminate()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it was started in a session of its own
    process.wait()


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
