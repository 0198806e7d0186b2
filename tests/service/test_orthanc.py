"""The round trip through a real archive: Debian's Orthanc, `examples/orthanc/route.py` and our server beside it."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from tests.samples.dicoms import make_study
from tests.samples.phantoms import draw_scan, encode
from tests.service.server import ROOT, free_port, running_server

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
ROUTE = ROOT / "examples" / "orthanc" / "route.py"
NUM_IMAGES = 3

pytestmark = pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed: apt-get install orthanc")


@pytest.fixture
def archive(tmp_path) -> Iterator[httpx.Client]:
    """An empty archive that takes a series for complete after a second."""
    port = free_port()
    settings = {
        **{"StorageDirectory": str(tmp_path / "db"), "IndexDirectory": str(tmp_path / "db"), "StableAge": 1},
        **{"HttpPort": port, "DicomPort": free_port(), "RemoteAccessAllowed": False, "AuthenticationEnabled": False},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings), encoding="ascii")
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), tmp_path / "orthanc.json"], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                wait_until(lambda: answers(client), "Orthanc answers")
                yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(client) -> bool:
    try:
        return bool(client.get("/system").is_success)
    except httpx.TransportError:
        return False


def wait_until(is_so, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain: {what}")


def ask(archive, path: str) -> Any:
    return archive.get(path).raise_for_status().json()


def store(archive, data: bytes) -> None:
    archive.post("/instances", content=data).raise_for_status()


def is_stable(archive, number: int) -> bool:
    changes = ask(archive, "/changes?limit=1000")["Changes"]
    return [change["ChangeType"] for change in changes].count("StableSeries") >= number


def route(archive, port: int, state: Path) -> subprocess.CompletedProcess[str]:
    options = ["--orthanc", str(archive.base_url), "--service", f"http://127.0.0.1:{port}", "--state", str(state)]
    command = [sys.executable, str(ROUTE), "--once", *options]
    environment = {**os.environ, "no_proxy": "*"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def read_instances(archive) -> list[Any]:
    names = ask(archive, "/instances")
    return [pydicom.dcmread(io.BytesIO(archive.get(f"/instances/{name}/file").content)) for name in names]


def test_the_results_of_a_series_are_stored_beside_it(archive, tiny_pair, tmp_path):
    for number in range(1, NUM_IMAGES + 1):
        store(archive, make_study(draw_scan(64, seed=number)[:, :, 0], number))
    wait_until(lambda: is_stable(archive, 1), "the series is stable")
    state = tmp_path / "route.state"
    with running_server(MODEL_PATH=tiny_pair[1], THREADS=1) as (_, port):
        done = route(archive, port, state)
        assert done.returncode == 0, done.stderr
        assert f"{NUM_IMAGES} images, 0 refused" in done.stderr
        assert "Secret" not in done.stderr
        (study,) = ask(archive, "/studies")
        series = {each["MainDicomTags"]["Modality"]: each for each in ask(archive, f"/studies/{study}/series")}
        assert set(series) == {"MR", "OT", "SR"}
        assert all(len(each["Instances"]) == NUM_IMAGES for each in series.values())
        for modality in ("OT", "SR"):
            assert series[modality]["MainDicomTags"]["SeriesDescription"] == "AI research - not for diagnosis"

        wait_until(lambda: is_stable(archive, 3), "the new series are stable")
        before = ask(archive, "/statistics")
        again = route(archive, port, state)  # our own results are not classified
        assert (again.returncode, "images" in again.stderr) == (0, False)
        state.unlink()
        assert route(archive, port, state).returncode == 0  # as if killed before the place was kept
        assert ask(archive, "/statistics")["CountInstances"] == before["CountInstances"] == 3 * NUM_IMAGES
    check_references(read_instances(archive))


def check_references(instances: list[Any]) -> None:
    """The results refer to instances that the archive has, in their own study."""
    known = {each.SOPInstanceUID: each for each in instances}
    sources = {name for name, each in known.items() if each.Modality == "MR"}
    for instance in instances:
        if instance.Modality == "OT":
            found = {item.ReferencedSOPInstanceUID for item in instance.SourceImageSequence}
        elif instance.Modality == "SR":
            (study,) = instance.CurrentRequestedProcedureEvidenceSequence
            (series,) = study.ReferencedSeriesSequence
            found = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
            (source,) = found
            assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (
                known[source].StudyInstanceUID,
                known[source].SeriesInstanceUID,
            )
        else:
            continue
        assert len(found) == 1
        assert found <= sources


def test_an_image_that_is_refused_keeps_nothing_from_the_others(archive, tiny_pair, tmp_path):
    store(archive, make_study(draw_scan(64)[:, :, 0], 1))
    store(archive, make_study(draw_scan(64)[:, :, 0] * 0, 2))  # blank
    wait_until(lambda: is_stable(archive, 1), "the series is stable")
    with running_server(MODEL_PATH=tiny_pair[1], THREADS=1) as (_, port):
        done = route(archive, port, tmp_path / "state")
    assert done.returncode == 1
    assert "2 images, 1 refused" in done.stderr
    assert ask(archive, "/statistics")["CountInstances"] == 4


def test_the_state_of_another_database_is_not_taken_for_this_ones(archive, tiny_pair, tmp_path):
    store(archive, make_study(draw_scan(64)[:, :, 0], 1))
    wait_until(lambda: is_stable(archive, 1), "the series is stable")
    state = tmp_path / "state"
    with running_server(MODEL_PATH=tiny_pair[1], THREADS=1) as (_, port):
        assert "1 images, 0 refused" in route(archive, port, state).stderr
        assert "images" not in route(archive, port, state).stderr
        kept = json.loads(state.read_bytes())
        marks = [[number, name, "20200101T000000"] for number, name, _ in kept["marks"]]
        state.write_text(json.dumps({"position": 1000, "marks": marks}), encoding="ascii")
        done = route(archive, port, state)
    assert "another database" in done.stderr
    assert "1 images, 0 refused" in done.stderr


def test_without_the_service_the_place_is_kept_and_that_is_said(archive, tmp_path):
    store(archive, make_study(draw_scan(64)[:, :, 0], 1))
    wait_until(lambda: is_stable(archive, 1), "the series is stable")
    done = route(archive, free_port(), tmp_path / "state")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_folder_and_an_archive_agree(archive, tiny_pair, tmp_path):
    """`watch` writes what can be stored: the same two series."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.dcm").write_bytes(make_study(draw_scan(64)[:, :, 0]))
    (source / "b.png").write_bytes(encode(draw_scan(64)))
    command = [sys.executable, "-m", "model", "watch", source, tmp_path / "out", "--once", "--interval", "0.1"]
    subprocess.run([*command, "--weights", tiny_pair[1]], cwd=ROOT, check=True, capture_output=True)
    store(archive, (source / "a.dcm").read_bytes())
    for path in sorted((tmp_path / "out").rglob("*.dcm")):
        store(archive, path.read_bytes())
    (study,) = ask(archive, "/studies")
    found = sorted(each["MainDicomTags"]["Modality"] for each in ask(archive, f"/studies/{study}/series"))
    assert found == ["MR", "OT", "SR"]
