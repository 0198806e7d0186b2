"""The server under test: a process of its own, started as an operator starts it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tests.soak.client import HOST
from tests.soak.exchange import exchange
from tests.soak.processes import list_workers, measure_memory
from tests.soak.request import get

ROOT = Path(__file__).parents[2]
_COMMAND = (sys.executable, "-m", "api")
_PREFIX = "BRAIN_MRI_"
_START_SECONDS = 60.0


class ServerError(Exception):
    """The server did not do what the soak needs of it: start, or end."""


class Server:
    """A started server."""

    def __init__(self, settings: dict[str, str], log: BinaryIO) -> None:
        """Start it on a free port, with `settings` by their names without the prefix."""
        self.port = _find_free_port()
        self._log = log
        self._process = subprocess.Popen(
            _COMMAND,
            cwd=ROOT,
            env=_environment({"LOG_LEVEL": "warning", "PORT": str(self.port), **settings}),
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        return list_workers(self.pid)

    @property
    def memory_bytes(self) -> int:
        """What it and its children occupy."""
        return measure_memory(self.pid)

    async def wait_until_ready(self) -> None:
        """Wait until it would be sent requests.

        Raises:
            ServerError: If it ends, or is not ready after a minute.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            outcome = await exchange(self.port, get("/readyz", "ready"), 5)
            if outcome.answer is not None and outcome.answer.status == 200:
                return
            await asyncio.sleep(0.1)
        raise ServerError(f"the server did not become ready: {self.read_log()[-2000:]}")

    def ask_to_stop(self) -> float:
        """Send SIGTERM; return when, by `time.monotonic`."""
        now = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return now

    async def wait_until_ended(self, seconds: float) -> int | None:
        """Wait for the exit status; None if it is still there after so many seconds."""
        deadline = time.monotonic() + seconds
        while (status := self._process.poll()) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return status

    def read_log(self) -> str:
        """Read what it has written."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def end(self) -> None:
        """Take care that nothing of it is left."""
        family = [self.pid, *self.workers]
        if self._process.poll() is None:
            for pid in family:
                _kill(pid)
        self._process.wait()


@asynccontextmanager
async def run_server(settings: dict[str, str], apart: bool = False) -> AsyncIterator[Server]:
    """Start a server, wait until it is ready, and end it whatever happens.

    Args:
        apart: Whether this process keeps the last core to itself and leaves the server the others, as two machines
            would; where there is only one core they share it all the same.
    """
    cores = sorted(os.sched_getaffinity(0))
    theirs, ours = (cores[:-1], cores[-1:]) if apart and len(cores) > 1 else (cores, cores)
    with tempfile.TemporaryFile() as log, _run_on(ours):
        with _run_on(theirs):
            server = Server(settings, log)
        try:
            await server.wait_until_ready()
            yield server
        finally:
            server.end()


@contextmanager
def _run_on(cores: Collection[int]) -> Iterator[None]:
    """Keep this process, and what it starts, to some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment(settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return {**inherited, **{f"{_PREFIX}{name}": value for name, value in settings.items()}}


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
