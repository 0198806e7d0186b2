import os
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.exceptions import SettingsError
from api.server.files import allow_connections
from tests.service.server import ROOT, exchange_bytes, free_port, wait_until_ready

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "num_connections"),
    [
        (1024, UNLIMITED, 2040, 2000),
        (1024, 20_000, 2040, 2000),
        (20_000, 20_000, None, 2000),
        (UNLIMITED, UNLIMITED, None, 2000),
        (1024, 2040, 2040, 2000),
        (1024, 2039, 2039, 1999),
        (64, 64, None, 24),
        (41, 41, None, 1),
    ],
)
def test_connections_fit_into_the_limit_on_open_files(
    settings, monkeypatch, caplog, soft, hard, raised, num_connections
):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert allow_connections(settings).max_connections == num_connections
    assert limits == ([(raised, hard)] if raised else [])
    assert (f"{num_connections} instead of 2000" in caplog.text) == (num_connections < 2000)


def test_a_limit_without_room_for_a_connection_stops_the_start(settings, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    with pytest.raises(SettingsError, match="may open 40 files"):
        allow_connections(settings)


@pytest.mark.parametrize(("workers", "hard", "fits"), [(1, 64, True), (5, 64, True), (16, 64, False), (64, 416, True)])
def test_a_limit_too_low_for_the_workers_stops_the_start(settings, monkeypatch, workers, hard, fits):
    """The process that watches them needs files for each; without them it would hang."""
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    many = settings.model_copy(update={"workers": workers, "max_connections": 1})
    if fits:
        allow_connections(many)
        assert limits == [(max(41, 32 + 6 * workers if workers > 1 else 0), hard)]
    else:
        with pytest.raises(SettingsError, match=f"BRAIN_MRI_WORKERS: .* {hard} files .* {workers} workers"):
            allow_connections(many)


def test_more_clients_than_files_take_neither_the_log_nor_a_core(tiny_pair):
    port = free_port()
    settings = {"PORT": port, "MODEL_PATH": tiny_pair[1], "HEAD_TIMEOUT_SECONDS": 2, "DRAIN_SECONDS": 0}
    command = ["sh", "-c", 'ulimit -n 64; exec "$0" -m api', sys.executable]
    environment = {**os.environ, **{f"BRAIN_MRI_{name}": str(value) for name, value in settings.items()}}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as server:
        wait_until_ready(port)
        with ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            before = _cpu_seconds(server.pid)
            time.sleep(1)
            assert _cpu_seconds(server.pid) - before < 0.3
        assert b" 200 " in exchange_bytes(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        server.terminate()
        _, log = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "24 instead of 2000" in log
    assert "connections have to wait" in log
    assert len(log.splitlines()) < 30


def _cpu_seconds(process: int) -> float:
    status = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    return sum(map(int, status.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
