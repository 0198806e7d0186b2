"""Several processes that serve one address: started, watched, replaced and stopped together.

    supervisor: listens -> starts worker 0 -> it is ready -> starts the others -> watches
                                                                               |
                                    a worker died: another one in its place <--+--> signal: passed on to all, wait

Each worker holds a model of its own; one that crashes takes only its own requests with it.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from api.exceptions import SettingsError
from api.server.address import take_address
from api.settings import Settings
from api.telemetry.logs import configure_logs
from model.errors import ModelError

_MIN_LIFE_SECONDS = 5.0  # a worker that lives shorter is not replaced at once
MEMORY_FOLDER = Path("/dev/shm")  # writable even where the root is not

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    link: Connection  # says when it is ready; its end tells the worker that the supervisor is gone
    started: float


class Supervisor:
    """Keeps `settings.workers` processes serving until a signal comes."""

    def __init__(self, settings: Settings) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, _Worker] = {}
        self._listener: socket.socket | None = None
        self._folder = ""
        self._stopping = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            The exit status: 0 after a signal, 1 if the first worker could not start.
        """
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        with take_address(self._settings) as self._listener, _metrics_folder() as self._folder:
            self._start(0)
            if not self._is_ready(0):
                self._join(0)
                return 0 if self._stopping else 1
            for index in range(1, self._settings.workers):
                self._start(index)
            while self._workers:
                self._replace_fallen()
        return 0

    def _start(self, index: int) -> None:
        link, other_end = self._context.Pipe()
        arguments = (index, self._settings, self._listener, self._folder, other_end)
        process = self._context.Process(target=_run_worker, args=arguments, name=f"worker-{index}")
        process.start()
        other_end.close()
        self._workers[index] = _Worker(process, link, time.monotonic())
        if self._stopping:
            process.terminate()

    def _is_ready(self, index: int) -> bool:
        """Wait until a worker says so, or ends."""
        worker = self._workers[index]
        return worker.link in wait([worker.link, worker.process.sentinel]) and _hears(worker.link)

    def _replace_fallen(self) -> None:
        wait([worker.process.sentinel for worker in self._workers.values()])
        for index, worker in tuple(self._workers.items()):
            if worker.process.is_alive():
                continue
            self._join(index)
            if self._stopping:
                continue
            logger.error("a worker died", extra={"worker": index, "exit_status": worker.process.exitcode})
            if time.monotonic() - worker.started < _MIN_LIFE_SECONDS:
                time.sleep(1)
            self._start(index)

    def _join(self, index: int) -> None:
        worker = self._workers.pop(index)
        worker.process.join()
        worker.link.close()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        if self._listener is not None:
            self._listener.close()  # the workers' own copies decide how long connections are taken
        for worker in tuple(self._workers.values()):
            worker.process.terminate()


def _run_worker(index: int, settings: Settings, listener: socket.socket, folder: str, link: Connection) -> None:
    """Serve in a process of its own until the supervisor says stop, or is gone."""
    from api.server.server import serve
    from api.telemetry.metrics import share_metrics

    os.setpgrp()  # Ctrl+C in a terminal goes to the supervisor, which passes it on
    configure_logs(settings.log_level, settings.log_format)
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_stop_when_alone, args=(link,), daemon=True).start()
    try:
        asyncio.run(serve(settings, share_metrics(folder, index), listener, lambda: link.send(True)))
    except (SettingsError, ModelError) as error:
        logger.error("cannot start: %s", error)
        raise SystemExit(1) from error


def _stop_when_alone(link: Connection) -> None:
    _hears(link)  # nothing is ever sent this way: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _hears(link: Connection) -> bool:
    try:
        return bool(link.recv())
    except (EOFError, OSError):
        return False


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


@contextmanager
def _metrics_folder() -> Iterator[str]:
    """Make a place where the workers' metrics come together."""
    in_memory = os.access(MEMORY_FOLDER, os.W_OK)
    with TemporaryDirectory(prefix="brain-mri-metrics-", dir=MEMORY_FOLDER if in_memory else None) as folder:
        yield folder
