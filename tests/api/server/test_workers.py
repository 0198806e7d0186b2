import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from api.exceptions import SettingsError
from api.server.address import take_address
from api.settings import Settings
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


def wait_for_workers(server_id: int, port: int, number: int) -> list[int]:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        workers = find_workers(server_id)
        if len(workers) == number and count(port, "brain_mri_ready") == number:
            return workers
        time.sleep(0.2)
    return pytest.fail(f"there are {len(workers)} workers")


def test_workers_share_address_and_metrics_and_the_fallen_are_replaced(tiny_pair, scan):
    with running_server(MODEL_PATH=tiny_pair[1], WORKERS=2, DRAIN_SECONDS=0) as (server, port):
        workers = wait_for_workers(server.pid, port, 2)
        assert [post(port, scan) for _ in range(20)] == [200] * 20
        assert count(port, "brain_mri_predictions_total") == 20
        assert httpx.get(f"http://127.0.0.1:{port}/model", trust_env=False).json()["workers"] == 2

        os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.5)
        after = wait_for_workers(server.pid, port, 2)
        assert workers[1] in after
        assert workers[0] not in after
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


def test_an_address_in_use_stops_the_start():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SettingsError, match="cannot listen"):
        take_address(Settings(port=other.getsockname()[1]))


def test_connections_are_refused_until_someone_listens():
    with take_address(Settings(port=0)) as taken, pytest.raises(ConnectionRefusedError):
        socket.create_connection(taken.getsockname())


def test_an_answer_does_not_wait_until_the_one_before_it_is_acknowledged():
    async def scenario() -> int:
        accepted = asyncio.get_running_loop().create_future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                accepted.set_result(transport.get_extra_info("socket"))

        with take_address(Settings(port=0)) as taken:
            async with await asyncio.get_running_loop().create_server(Protocol, sock=taken):
                _, writer = await asyncio.open_connection(*taken.getsockname())
                option: int = (await accepted).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                writer.close()
                return option

    assert asyncio.run(scenario()) != 0


@pytest.mark.parametrize("package", ["api", "model"])
def test_numpy_is_told_to_leave_the_cores_to_the_images(package):
    script = f"import {package}.__main__, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, env=environment, check=True, capture_output=True).stdout == b"1\n"
