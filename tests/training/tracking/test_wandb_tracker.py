import struct
import time
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made at run time

from training.run import EpochResult, RunReport
from training.tracking.tracker import RunDescription, recall_identity
from training.tracking.wandb_tracker import WandbTracker


def _read_records(folder: Path) -> list[Record]:
    """Read the log of an offline run: LevelDB's format of blocks of 32 KiB, behind seven bytes of its own."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    data, position, parts, records = path.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        if position + 7 + length > len(data):
            break  # it is still being written
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
    return records


def _wait_for_records(folder: Path) -> list[Record]:
    """Read the log once its last record is there: another process writes it, and may be at it when the run is over."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        records = _read_records(folder)
        if any(record.HasField("exit") for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError("the run's log has no end")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_offline_run_holds_parameters_curves_and_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    files = [tmp_path / name for name in ("a.pth", "a.onnx")]
    for path in files:
        path.write_bytes(b"weights")
    tracker = WandbTracker("project", RunDescription("recipe", tmp_path, {"learning_rate": 1e-3}))
    for epoch in (1, 2):
        tracker.write(EpochResult(epoch, 1, 64, 1e-3, 1.0, 0.5, 0.9 / epoch, 0.6, 1.5))
    summary = {"sha256": "abc", "metrics": {"official_test": {"accuracy": {"value": 0.75}}}}
    tracker.finish(RunReport(files[0], files[1], summary))
    tracker.close(failed=False)
    records = _wait_for_records(tmp_path)
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.project, run.run_id) == ("project", recall_identity(tmp_path, "wandb"))
    assert {item.key: item.value_json for item in run.config.update}["learning_rate"] == "0.001"
    logged = [
        {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [row["validation/loss"] for row in logged] == ["0.9", "0.45"]
    (artifact,) = (
        record.request.log_artifact.artifact if record.HasField("request") else record.artifact
        for record in records
        if record.HasField("artifact") or record.request.HasField("log_artifact")
    )
    assert (artifact.name, artifact.type) == ("recipe", "model")
    assert {entry.path for entry in artifact.manifest.contents} == {"a.pth", "a.onnx"}
