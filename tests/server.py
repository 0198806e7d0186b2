"""The service as a process of its own, as users start it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
START_SECONDS = 30


@contextmanager
def serve(**settings: object) -> Iterator[str]:
    """Start the service with settings, without their prefix; give its address when it is ready."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    told = {"PORT": port, "LOG_LEVEL": "error", "DRAIN_SECONDS": 0, **settings}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{f"BRAIN_MRI_{name}": str(told[name]) for name in told}}
    process = subprocess.Popen([sys.executable, "-m", "api"], cwd=ROOT, env=environment)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the service did not become ready")
