"""Asks `/livez` ten times a second: a process of its own, whose clock does not wait for the load's."""

import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_EVERY_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0
_REQUEST = b"GET /livez HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n"


class Probe:
    """What the process has found, once it has stopped."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.seconds: list[float] = []
        self.num_failed = 0

    def read(self, text: str) -> None:
        """Read the lines of the process: seconds, or "failed"."""
        lines = text.split()
        self.num_failed = lines.count("failed")
        self.seconds = [float(line) for line in lines if line != "failed"]


@asynccontextmanager
async def run_probe(port: int) -> AsyncIterator[Probe]:
    """Ask until the block ends; only then the probe tells what it found."""
    probe = Probe()
    with tempfile.TemporaryFile("w+") as found:
        command = [sys.executable, "-m", "tests.soak.probe", str(port)]
        process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=found)
        try:
            yield probe
        finally:
            process.communicate()  # closes its input
            found.seek(0)
            probe.read(found.read())


def main(port: int) -> None:
    """Ask until the input is closed; write a line for each answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent closes our input
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        begun = time.monotonic()
        answered = _ask(port)
        sys.stdout.write(f"{time.monotonic() - begun:.6f}\n" if answered else "failed\n")
        sys.stdout.flush()
        due = max(due + _EVERY_SECONDS, time.monotonic())


def _ask(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as link:
            link.sendall(_REQUEST)
            answer = b""
            while data := link.recv(4096):
                answer += data
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


if __name__ == "__main__":
    main(int(sys.argv[1]))
