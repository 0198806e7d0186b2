import os
import re
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.service.server import free_port, running_server, start_server, wait_until_ready


def find_workers(server_id: int) -> list[int]:
    """The processes that serve: children of the supervisor that were spawned for it."""
    children = Path(f"/proc/{server_id}/task/{server_id}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def count(port: int, metric: str) -> float:
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return sum(float(found) for found in re.findall(rf"^{metric}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))


def post(port: int, scan: bytes) -> int:
    return httpx.post(f"http://127.0.0.1:{port}/predict", content=scan, trust_env=False).status_code


def wait_for_workers(server_id: int, port: int, number: int, gone: int | None = None) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        workers = find_workers(server_id)
        if gone not in workers and len(workers) == number and count(port, "brain_mri_ready") == number:
            return workers
        time.sleep(0.2)
    return pytest.fail(f"there are {len(workers)} workers")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])
def test_workers_share_address_and_metrics_and_a_dead_or_hung_one_is_replaced(tiny_pair, scan, number):
    with running_server(MODEL_PATH=tiny_pair[1], WORKERS=2) as (server, port):
        victim, survivor = wait_for_workers(server.pid, port, 2)
        assert [post(port, scan) for _ in range(20)] == [200] * 20
        assert count(port, "brain_mri_predictions_total") == 20
        assert httpx.get(f"http://127.0.0.1:{port}/model", trust_env=False).json()["workers"] == 2

        os.kill(victim, number)
        assert survivor in wait_for_workers(server.pid, port, 2, gone=victim)
        assert [post(port, scan) for _ in range(20)] == [200] * 20
        assert count(port, "brain_mri_predictions_total") == 40


def test_workers_do_not_outlive_their_supervisor(tiny_pair):
    port = free_port()
    server = start_server(MODEL_PATH=tiny_pair[1], WORKERS=2, DRAIN_SECONDS=0, PORT=port)
    wait_until_ready(port)
    workers = wait_for_workers(server.pid, port, 2)
    server.kill()
    server.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{worker}").exists() for worker in workers):
        time.sleep(0.1)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_weights_that_cannot_be_loaded_stop_all_with_one_line(tmp_path):
    server = start_server(MODEL_PATH=tmp_path / "none.onnx", WORKERS=3, PORT=0)
    _, log = server.communicate(timeout=60)
    assert server.returncode == 1
    assert len(log.splitlines()) == 1, log
    assert "cannot start" in log


def test_a_replacement_that_cannot_be_loaded_stops_all_instead_of_being_tried_for_ever(tiny_pair, tmp_path):
    weights, port = shutil.copy(tiny_pair[1], tmp_path), free_port()
    server = start_server(MODEL_PATH=weights, WORKERS=2, PORT=port, LOG_LEVEL="error", DRAIN_SECONDS=0)
    wait_until_ready(port)
    victim, _ = wait_for_workers(server.pid, port, 2)
    Path(weights).unlink()
    os.kill(victim, signal.SIGKILL)
    _, log = server.communicate(timeout=60)
    assert server.returncode == 1
    assert [line for line in log.splitlines() if "cannot start" in line] == log.splitlines()[1:], log
