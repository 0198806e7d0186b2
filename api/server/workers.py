"""Several processes that serve one address, watched by uvicorn's supervisor.

    supervisor: starts worker 0 -> it serves -> starts the others -> pings them all twice a second
                       |                                                      |
       it cannot start: exit status 1                        it is dead or hangs: replaced

Each worker loads the model for itself; a crash loses only the requests of one worker.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from api.exceptions import SettingsError
from api.server.address import take_address
from api.settings import Settings
from api.telemetry.logs import configure_logs
from model.errors import ModelError

_HANG_SECONDS = 10  # a worker on a busy core needs some of them before it hears its first ping
_MIN_LIFE_SECONDS = 5.0  # a worker that lives shorter is not replaced at once
_PAUSE_SECONDS = 1.0
_MEMORY_FOLDER = Path("/dev/shm")  # writable even where the root is not

logger = logging.getLogger(__name__)


def serve_with_workers(settings: Settings) -> int:
    """Serve with several processes until SIGTERM or SIGINT.

    Returns:
        The exit status: 0 after a signal, 1 if a worker could not start.

    Raises:
        SettingsError: If the address cannot be taken.
    """
    in_memory = _MEMORY_FOLDER if os.access(_MEMORY_FOLDER, os.W_OK) else None
    with take_address(settings) as listener, TemporaryDirectory(prefix="brain-mri-", dir=in_memory) as folder:
        supervisor = Supervisor(settings, listener, folder)
        supervisor.run()
    return supervisor.exit_status


class Worker(Process):
    """A process that runs our server in place of uvicorn's."""

    def __init__(self, supervisor: "Supervisor", index: int) -> None:
        """Start nothing yet."""
        super().__init__(supervisor.config, supervisor.sockets)
        self._settings = supervisor.settings
        self._metrics_folder = supervisor.metrics_folder
        self._index = index

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes or the supervisor is gone; this runs in the process itself."""
        os.setpgrp()  # Ctrl+C in a terminal reaches the supervisor alone, which passes it on
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        configure_logs(self._settings.log_level, self._settings.log_format)
        for task in (self.always_pong, _stop_when_alone):
            threading.Thread(target=task, daemon=True).start()
        # Imported here: the supervisor needs no model and none of its libraries.
        from api.server.server import DrainingServer
        from api.telemetry.metrics import share_metrics

        try:
            self._server = DrainingServer(self._settings, share_metrics(self._metrics_folder, self._index))
            self._server.run(sockets)
        except (SettingsError, ModelError) as error:
            logger.error("cannot start: %s", error)
            raise SystemExit(STARTUP_FAILURE) from error

    def pong(self) -> None:
        """Answer one ping, also while the model is loaded, with whether the server has started."""
        self.child_conn.recv()
        self.child_conn.send(self._server is not None and self._server.started)


class Supervisor(Multiprocess):
    """Keeps `settings.workers` processes serving until a signal comes or one of them cannot start."""

    def __init__(self, settings: Settings, listener: socket.socket, metrics_folder: str) -> None:
        """Start no worker yet, but handle SIGTERM and SIGINT from now on."""
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        super().__init__(uvicorn.Config("", workers=settings.workers, log_config=None), [listener])
        for number in handlers.keys() - {signal.SIGTERM, signal.SIGINT}:
            signal.signal(number, handlers[number])  # uvicorn's would start workers of its own class
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the workers' own lines say enough
        self.settings = settings
        self.metrics_folder = metrics_folder
        self.exit_status = 0
        self._start_times: dict[int, float] = {}

    def init_processes(self) -> None:
        """Start the first worker; the others follow when it serves."""
        self.processes.append(self._start(0))

    def keep_subprocess_alive(self) -> None:
        """Replace workers that are dead or hang, and start the others when the first one serves."""
        for index, worker in enumerate(self.processes):
            if not (self.should_exit.is_set() or worker.is_alive(_HANG_SECONDS)):
                self._replace(index, worker)
        is_first_alone = len(self.processes) < self.processes_num and not self.should_exit.is_set()
        if is_first_alone and self.processes[0].is_ready(_HANG_SECONDS):
            self.processes.extend(map(self._start, range(1, self.processes_num)))

    def terminate_all(self) -> None:
        """Pass a signal to stop on to all workers, and further signals too: a second one ends the draining."""
        for listener in self.sockets:
            listener.close()  # the workers' own copies decide how long connections are accepted
        pass_on = super().terminate_all
        pass_on()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: pass_on())

    def _start(self, index: int) -> Process:
        worker = Worker(self, index)
        worker.start()
        self._start_times[index] = time.monotonic()
        return worker

    def _replace(self, index: int, worker: Process) -> None:
        worker.kill()  # if it hangs
        worker.join()
        if worker.exitcode != STARTUP_FAILURE:  # that has logged its reason
            logger.error("a worker died", extra={"worker": index, "exit_status": worker.exitcode})
        if worker.exitcode == STARTUP_FAILURE or len(self.processes) < self.processes_num:
            self.exit_status = 1  # another one would fail the same way
            self.should_exit.set()
            return
        if time.monotonic() - self._start_times[index] < _MIN_LIFE_SECONDS:
            time.sleep(_PAUSE_SECONDS)
        self.processes[index] = self._start(index)


def _stop_when_alone() -> None:
    """Stop this worker when its supervisor is gone."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)
