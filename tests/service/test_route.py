"""`examples/orthanc/route.py` against an archive and a service that fail in every way; the real ones are elsewhere."""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.service.server import ROOT, free_port

MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'
RESULTS = b"--b\r\nContent-Type: application/dicom\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n--b--\r\n"
LOGIN = b"<html>Please log in</html>"


class Servers(ThreadingHTTPServer):
    """An archive of the series `bad` and `good`, of one image each, and a service, at one address.

    Attributes:
        failures: Status, body and bytes announced besides by path; for one image's part in it by its name.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.failures: dict[str, tuple[int, bytes, int]] = {}
        self.date = "20261129T080000"
        self.changes = [self.change(number, name) for number, name in ((3, "bad"), (4, "good"))]
        self.classified: list[str] = []
        self.stored: list[bytes] = []

    def change(self, number: int, name: str) -> dict[str, Any]:
        return {"Seq": number, "ID": name, "Date": self.date, "ChangeType": "StableSeries"}

    def answer(self, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        if path == "/changes":
            since, limit = int(query["since"][0]), int(query["limit"][0])
            found = [change for change in self.changes if change["Seq"] > since]
            last = found[:limit][-1]["Seq"] if found else since
            return {"Changes": found[:limit], "Last": last, "Done": len(found) <= limit}
        if path.startswith("/series/"):
            return {"MainDicomTags": {"Modality": "MR"}, "Instances": [path.rpartition("/")[2]]}
        if path.startswith("/instances/"):
            return path.split("/")[2].encode()
        if path == "/instances":
            self.stored.append(body)
            return {"Status": "Success"}
        if path == "/predict/visualize":
            self.classified.append(body.decode())
            return RESULTS
        return {"/system": {"Version": "1.12"}, "/readyz": {"status": "ready"}}[path]


class _Handler(BaseHTTPRequestHandler):
    server: Servers

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.answer(address.path, parse_qs(address.query), body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        status, num_missing = 200, 0
        name = "store" if address.path == "/instances" else address.path
        if name in self.server.failures and (body != b"good"):
            status, data, num_missing = self.server.failures[name]
        self.send_response(status)
        self.send_header("Content-Type", MULTIPART if data.startswith(b"--b") else "text/html")
        self.send_header("Content-Length", str(len(data) + num_missing))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def servers(monkeypatch) -> Iterator[Servers]:
    monkeypatch.setenv("no_proxy", "*")
    with Servers() as servers:
        threading.Thread(target=servers.serve_forever, args=(0.01,), daemon=True).start()
        yield servers
        servers.shutdown()


@pytest.fixture(scope="module")
def route() -> ModuleType:
    specification = importlib.util.spec_from_file_location("route", ROOT / "examples" / "orthanc" / "route.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["route"] = module  # where its dataclasses look for their names
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def run(route, servers, tmp_path):
    """Run it once; returns the exit status."""
    address = f"http://127.0.0.1:{servers.server_port}"
    return lambda: route.main(
        ["--once", "--orthanc", address, "--service", f"{address}/", "--state", str(tmp_path / "state")]
    )


def test_all_results_of_new_series_are_stored_once(run, servers):
    assert (run(), run()) == (0, 0)
    assert servers.classified == ["bad", "good"]
    assert servers.stored == [b"first", b"second"] * 2


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("/series/bad", (500, b"{}", 0)),
        ("/series/bad", (200, LOGIN, 0)),
        ("/series/bad", (200, b"[]", 0)),
        ("/series/bad", (200, b"{}", 9)),
        ("/instances/bad/file", (404, b"", 0)),
        ("/instances/bad/file", (200, b"half", 99)),
        ("/predict/visualize", (422, b"{}", 0)),
        ("/predict/visualize", (413, LOGIN, 0)),
        ("/predict/visualize", (500, b"{}", 0)),
        ("/predict/visualize", (200, LOGIN, 0)),
        ("/predict/visualize", (200, RESULTS[:-30], 0)),
        ("/predict/visualize", (200, RESULTS, 9)),
        ("/predict/visualize", (200, b"--b--", 0)),
    ],
)
def test_the_failure_of_one_series_is_logged_and_passed_over(run, servers, caplog, path, failure):
    servers.failures[path] = failure
    assert run() == 1
    assert "bad: " in caplog.text
    assert servers.classified[-1] == "good"
    assert servers.stored == [b"first", b"second"]
    assert run() == 0  # it is not met again
    assert servers.classified.count("good") == 1


@pytest.mark.parametrize(
    "failure",
    [
        (400, b"{}", 0),
        (404, b"", 0),
        (413, LOGIN, 0),
        (500, b"", 0),
        (200, LOGIN, 0),
        (200, b'{"Status":"FilteredOut"}', 0),
    ],
)
def test_results_that_the_archive_does_not_take_are_logged_and_passed_over(run, servers, caplog, failure):
    servers.failures["store"] = failure
    assert (run(), run()) == (1, 0)
    assert caplog.text.count("instance ") == 2


def test_a_series_that_has_been_deleted_is_no_failure(run, servers):
    servers.failures["/series/bad"] = (404, b"", 0)
    assert run() == 0
    assert servers.classified == ["good"]


@pytest.mark.parametrize(
    "failures",
    [
        {"/changes": (200, LOGIN, 0)},
        {"/changes": (500, b"", 0)},
        {"/changes": (200, b"{}", 5)},
        {"/predict/visualize": (503, b"{}", 0)},
        {"/predict/visualize": (401, b"{}", 0)},
        {"store": (507, b"{}", 0)},
        {"/predict/visualize": (500, b"", 0), "/readyz": (503, b"{}", 0)},
        {"/predict/visualize": (200, LOGIN, 0), "/readyz": (200, LOGIN, 0)},
        {"/instances/bad/file": (200, LOGIN, 9), "/system": (200, LOGIN, 0)},
    ],
)
def test_while_a_server_does_not_work_the_place_is_kept(run, servers, tmp_path, failures):
    servers.failures.update(failures)
    assert run() == 1
    assert not (tmp_path / "state").exists()
    servers.failures.clear()
    servers.classified.clear()
    assert run() == 0
    assert servers.classified == ["bad", "good"]


def test_the_state_knows_its_database(run, servers, caplog):
    assert run() == 0
    servers.date = "20261130T080000"  # the same scans, put into a new database that has grown further
    servers.changes = [servers.change(number, name) for number, name in ((3, "bad"), (4, "good"), (5, "new"))]
    servers.classified.clear()
    assert run() == 0
    assert servers.classified == ["bad", "good", "new"]
    assert "another database" in caplog.text
    servers.changes = [servers.change(1, "small")]
    assert run() == 0
    assert servers.classified[-1] == "small"


@pytest.mark.parametrize("deleted", [0, 1])
def test_a_series_that_is_deleted_does_not_make_it_another_database(run, servers, deleted):
    assert run() == 0
    del servers.changes[deleted]
    servers.changes.append(servers.change(5, "new"))
    assert run() == 0
    assert servers.classified == ["bad", "good", "new"]


@pytest.mark.parametrize(
    "state", [b"", b"7", b"[]", b"{}", b'{"position": 7, "marks": 3}', b'{"position": 7, "marks": [[]]}', b"\xff"]
)
def test_a_damaged_state_begins_anew(run, servers, tmp_path, caplog, state):
    (tmp_path / "state").write_bytes(state)
    assert run() == 0
    assert servers.classified == ["bad", "good"]
    assert "beginning anew" in caplog.text


def test_a_state_that_cannot_be_written_is_one_line(run, tmp_path, caplog):
    (tmp_path / "state.part").mkdir()
    assert run() == 1
    assert "Is a directory" in caplog.text


def test_an_archive_that_is_not_there_is_one_line(route, tmp_path, caplog):
    address = f"http://127.0.0.1:{free_port()}"
    assert route.main(["--once", "--orthanc", address, "--state", str(tmp_path / "state")]) == 1
    assert "cannot be reached" in caplog.text


@pytest.mark.parametrize("address", ["127.0.0.1:8042", "ftp://x", "http://", ""])
def test_an_address_without_protocol_is_refused(route, capsys, address):
    with pytest.raises(SystemExit) as caught:
        route.main(["--orthanc", address])
    assert caught.value.code == 2
    assert "expected http://" in capsys.readouterr().err
