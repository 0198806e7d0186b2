"""The real server in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


def start_server(**settings: object) -> subprocess.Popen[str]:
    environment = {f"BRAIN_MRI_{name}": str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running_server(**settings: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that is ready, and its port; it has to end well.

    It logs little: nobody reads its log before it has ended.
    """
    port = free_port()
    server = start_server(**{"PORT": port, "LOG_LEVEL": "warning", "DRAIN_SECONDS": 0, **settings})
    try:
        wait_until_ready(port)
        yield server, port
    finally:
        server.terminate()
        _, log = server.communicate(timeout=30)
    assert server.returncode == 0, log
    assert "Traceback" not in log


def exchange_bytes(port: int, data: bytes) -> bytes:
    """Send bytes, and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    """The bytes until the other side ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(port: int, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the server did not become ready")
