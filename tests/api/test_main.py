import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import api.__main__
from api.__main__ import main
from api.main import create_app
from api.settings import Settings
from api.version import VERSION
from tests.api.problems import check_problem
from tests.samples.phantoms import save_tiny_checkpoint
from tests.service.server import exchange_bytes, read_to_end, running_server, start_server


@pytest.mark.parametrize("index", [0, 1], ids=["torch", "onnxruntime"])
def test_the_server_starts_answers_and_stops_at_a_signal(tiny_pair, scan, index):
    with running_server(MODEL_PATH=tiny_pair[index]) as (_, port):
        response = httpx.post(f"http://127.0.0.1:{port}/predict", files={"file": scan}, trust_env=False)
    assert response.status_code == 200
    assert "server" not in response.headers


def test_after_the_signal_to_stop_open_requests_end_and_new_ones_are_refused(tiny_pair, scan):
    with (
        running_server(MODEL_PATH=tiny_pair[1], DRAIN_SECONDS=2) as (server, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        socket.create_connection(("127.0.0.1", port)) as begun,
    ):
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(scan)}\r\n\r\n".encode()
        begun.sendall(head + scan[:100])
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for response in (client.get("/readyz"), client.post("/predict", content=scan)):
            check_problem(response, 503, "stopping")
            assert response.headers["connection"] == "close"
            assert "retry-after" in response.headers
        alive = client.get("/livez")
        assert (alive.status_code, alive.headers["connection"]) == (200, "close")
        time.sleep(2.5)  # past the draining: no new connection is accepted
        with pytest.raises(httpx.TransportError):
            client.get("/livez")
        begun.sendall(scan[100:])
        assert b" 200 " in begun.makefile("rb").readline()


def test_a_request_on_its_way_when_no_more_are_taken_is_answered(tiny_pair):
    with running_server(MODEL_PATH=tiny_pair[1], DRAIN_SECONDS=0) as (server, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = read_to_end(connection)
        assert b" 503 " in answer
        assert b"connection: close" in answer.lower()


def test_the_response_to_a_large_body_can_be_read_while_the_service_stops(tiny_pair):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"
    with running_server(MODEL_PATH=tiny_pair[1], DRAIN_SECONDS=3) as (server, port):
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for _ in range(20):
            assert b" 503 " in exchange_bytes(port, head + bytes(999_999))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_the_draining(tiny_pair, workers):
    with running_server(MODEL_PATH=tiny_pair[1], DRAIN_SECONDS=600, WORKERS=workers) as (server, _):
        server.send_signal(signal.SIGINT)
        time.sleep(2)
        assert server.poll() is None


def _replace_by_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": [1, 2, 3], "command": os.system}))


def _save_wrong_self_test(path: Path) -> None:
    save_tiny_checkpoint(path, self_test_logits=(9.0, 9.0, -9.0))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("missing.onnx", Path.unlink),
        ("half.onnx", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("pickle.pth", _replace_by_pickle),
        ("self-test.pth", _save_wrong_self_test),
    ],
)
def test_a_bad_weight_file_stops_the_start_with_one_line(tiny_pair, tmp_path, name, damage):
    path = tmp_path / name
    path.write_bytes(tiny_pair[path.suffix == ".onnx"].read_bytes())
    damage(path)
    server = start_server(MODEL_PATH=path, PORT=0)
    output, log = server.communicate(timeout=60)
    assert server.returncode == 1
    assert output == ""
    assert len(log.splitlines()) == 1, log
    assert str(path) in log


def test_a_bad_setting_stops_the_start(monkeypatch, caplog):
    monkeypatch.setenv("BRAIN_MRI_PORT", "high")
    assert main([]) == 1
    assert "BRAIN_MRI_PORT" in caplog.text


@pytest.mark.parametrize(("host", "keys", "warned"), [("0.0.0.0", "", 1), ("0.0.0.0", "k" * 16, 0), ("::1", "", 0)])
def test_a_public_address_without_a_key_is_warned_about(monkeypatch, caplog, host, keys, warned):
    for name, value in {"HOST": host, "API_KEYS": keys, "PORT": "0", "WORKERS": "2"}.items():
        monkeypatch.setenv(f"BRAIN_MRI_{name}", value)
    monkeypatch.setattr(api.__main__, "serve_with_workers", lambda settings: 0)
    assert main([]) == 0
    assert caplog.text.count("access is open") == warned


def test_help_lists_the_settings(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "BRAIN_MRI_MAX_IMAGE_PIXELS" in capsys.readouterr().out


def test_the_command_line_prints_the_version_of_the_openapi_document(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    openapi = create_app(Settings(model_path=Path("unused.onnx"))).openapi()
    assert capsys.readouterr().out.strip() == openapi["info"]["version"] == VERSION


@pytest.mark.parametrize("package", ["api", "model"])
def test_numpy_leaves_the_cores_to_the_images(package):
    script = f"import {package}.__main__, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, env=environment, check=True, capture_output=True).stdout == b"1\n"


@pytest.fixture(autouse=True)
def _keep_signal_handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
