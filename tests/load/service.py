"""A service under test: processes of its own, started as an operator starts them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tests.load.connection import HOST
from tests.load.exchange import exchange
from tests.load.processes import list_family, list_workers, measure_cpu_seconds, measure_memory
from tests.load.request import get

ROOT = Path(__file__).parents[2]
OURS = ("-m", "api")
_PREFIX = "BRAIN_MRI_"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.005  # the time to start is measured with it
_LOG_CHARACTERS = 2000  # of the end, where the error stands


class ServiceError(Exception):
    """The service did not do what it must to be measured: start, respond as expected, or end."""


class Service:
    """A started service.

    Attributes:
        process: The one that was started; Ctrl+C in a terminal does not reach it.
        start_seconds: From its start to the first 200 of `/readyz`.
    """

    def __init__(self, settings: Mapping[str, object], arguments: Sequence[str], log: BinaryIO) -> None:
        self.port, self._log = _find_free_port(), log
        self._begun, self.start_seconds = time.monotonic(), 0.0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
        own = {"LOG_LEVEL": "warning", "PORT": self.port, **settings}
        self.process = subprocess.Popen(
            [sys.executable, *(argument.format(port=self.port) for argument in arguments)],
            cwd=ROOT,
            env=inherited | {f"{_PREFIX}{name}": str(value) for name, value in own.items()},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    @property
    def workers(self) -> list[int]:
        return list_workers(self.process.pid)

    @property
    def memory_bytes(self) -> int:
        return measure_memory(self.process.pid)

    @property
    def cpu_seconds(self) -> float:
        return measure_cpu_seconds(self.process.pid)

    async def wait_until_ready(self) -> None:
        while self.process.poll() is None and time.monotonic() < self._begun + _START_SECONDS:
            if (await exchange(self.port, get("/readyz", "ready"), 5)).label == "200":
                self.start_seconds = time.monotonic() - self._begun
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise ServiceError(f"the service did not become ready: {self.read_log()[-_LOG_CHARACTERS:]}")

    async def wait_until_ended(self, seconds: float) -> int | None:
        """Wait for the exit status; None if it is still there after so many seconds."""
        deadline = time.monotonic() + seconds
        while (status := self.process.poll()) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return status

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to the process and to all that it has started."""
        for pid in list_family(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def read_log(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")


@asynccontextmanager
async def run_service(
    settings: Mapping[str, object], arguments: Sequence[str] = OURS, *, apart: bool = False
) -> AsyncIterator[Service]:
    """Start a service, wait until it is ready, and end it whatever happens.

    Args:
        settings: By their names without the prefix.
        arguments: Of Python; "{port}" stands for the port.
        apart: Whether this process keeps the last core to itself and leaves the service the others, as two machines
            would; where there is only one core they share it all the same.
    """
    cores = os.sched_getaffinity(0)
    ours = {max(cores)} if apart else cores
    with tempfile.TemporaryFile() as log:
        service = Service(settings, arguments, log)
        try:
            os.sched_setaffinity(service.process.pid, cores - ours or cores)
            os.sched_setaffinity(0, ours)
            await service.wait_until_ready()
            yield service
        finally:
            os.sched_setaffinity(0, cores)
            service.send_to_all(signal.SIGKILL)  # some do not end their own workers
            service.process.wait()


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
