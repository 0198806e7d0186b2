import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from api.main import create_app
from api.settings import Settings
from model.card import ModelCard
from model.errors import CheckpointError
from tests.samples.phantoms import (
    CLASSES,
    TINY,
    create_judged,
    create_tiny_network,
    draw_scan,
    encode,
    save_calibrated_checkpoint,
)
from training.calibration import recalibration
from training.calibration.recalibration import RecalibrationOptions, recalibrate
from training.command_line import main
from training.errors import DataError, RunError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SPOTS = {"glioma": (0.35, 0.5), "notumor": None, "pituitary": (0.65, 0.5)}


def _draw_scans(folder, num_scans, first_seed=0):
    for label, (name, spot) in enumerate(SPOTS.items()):
        (folder / name).mkdir(parents=True)
        for index in range(num_scans):
            seed = first_seed + 1000 * label + index
            (folder / name / f"{index}.png").write_bytes(encode(draw_scan(64, spot, seed)))
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    _draw_scans(root / "Training", 12)
    _draw_scans(root / "Testing", 24, first_seed=500)
    return root


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    return _draw_scans(tmp_path_factory.mktemp("flat"), 14)


@pytest.fixture
def state_dict(tmp_path):
    torch.save(create_tiny_network().state_dict(), tmp_path / "trained.pth")
    return tmp_path / "trained.pth"


@pytest.fixture
def writing(monkeypatch):
    """What would be written: card, scans, folder and name."""
    calls = []
    monkeypatch.setattr(recalibration, "write_weights", lambda *arguments, **_: calls.append(arguments[1:]))
    return calls


def test_the_page_makes_a_served_and_calibrated_model_of_a_checkpoint_of_timms(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").symlink_to(tree)
    section = PAGE.partition("## Weights trained elsewhere")[2].partition("\n## ")[0]
    section = section.replace("efficientnet_b0", TINY).replace("224", "64")
    script, commands = re.findall(r"```(?:python|sh)\n(.*?)```", section, re.DOTALL)
    torch.manual_seed(0)
    exec(script, {})
    calibrate, serve = (shlex.split(line) for line in commands.splitlines())
    assert calibrate[:3] == ["python", "-m", "training"]
    subprocess.run([sys.executable, *calibrate[1:]], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    weights = Path(serve[0].removeprefix("BRAIN_MRI_MODEL_PATH="))
    with TestClient(create_app(Settings(model_path=weights, threads=1))) as client:
        answer = client.post("/predict", content=encode(draw_scan(64, (0.35, 0.5), 9))).json()
        card = client.get("/model").json()
    assert set(answer["prediction_set"]) <= set(CLASSES)
    assert answer["review"]["level"] in ("none", "consider", "required")
    assert answer["ood"]["score"] >= 0
    assert card["temperature"] != 1
    assert card["metrics"]["copy_free_test"]["images"] >= 30
    assert [gap.split(":")[0] for gap in card["gaps"]] == ["an outlier threshold that 99 of 100 familiar scans keep"]
    assert sorted(path.name for path in Path("calibrated").iterdir()) == [f"{TINY}.onnx", f"{TINY}.pth"]


def test_training_scans_teach_the_detector_alone_and_half_of_the_rest_is_measured(state_dict, tree, tmp_path, writing):
    recalibrate(RecalibrationOptions(state_dict, tree, tmp_path / "out", architecture=TINY, image_size=64))
    ((_, scans, folder, name),) = writing
    assert {scan.path.parts[-3] for scan in scans.familiar} == {"Training"}
    assert scans.calibration == scans.unseen
    measured = {scan.path for test in scans.tests for scan in test.scans}
    assert abs(len(measured) - len(scans.calibration)) <= 1
    assert len(measured) >= 30
    assert not measured & {scan.path for scan in scans.calibration}
    assert (folder, name) == (tmp_path / "out", TINY)


def test_in_a_folder_without_splits_all_but_the_tests_calibrate(state_dict, flat, tmp_path, writing):
    recalibrate(RecalibrationOptions(state_dict, flat, tmp_path, architecture=TINY, image_size=64))
    ((_, scans, _, _),) = writing
    measured = {scan.path for test in scans.tests for scan in test.scans}
    assert len(measured) + len(scans.calibration) == 42
    assert set(scans.calibration) == {*scans.familiar, *scans.unseen}
    assert not set(scans.familiar) & set(scans.unseen)


def test_what_a_table_trains_on_does_not_calibrate(state_dict, flat, tmp_path, writing):
    rows = [
        f"{name}/{index}.png,{name}{index},{part}"
        for name in SPOTS
        for index, part in enumerate(["train"] * 8 + ["validation"] * 2 + ["calibration"] * 2 + ["test"] * 2)
    ]
    table = tmp_path / "groups.csv"
    table.write_text("\n".join(["path,group,split", *rows]) + "\n", encoding="utf-8")
    recalibrate(RecalibrationOptions(state_dict, flat, tmp_path, table, architecture=TINY, image_size=64))
    ((_, scans, _, _),) = writing
    assert [len(scans.familiar), len(scans.unseen), len(scans.calibration)] == [24, 12, 12]
    assert not set(scans.familiar) & set(scans.calibration)


def test_the_card_is_made_of_options_file_folder_and_timms_defaults(flat, tmp_path, writing):
    options = {"img_size": 96, "mean": (0.1, 0.2, 0.3), "std": None}
    content = {"arch": TINY, "args": argparse.Namespace(**options), "state_dict": create_tiny_network().state_dict()}
    torch.save(content, tmp_path / "model_best.pth.tar")
    order = ("pituitary", "glioma", "notumor")
    recalibrate(RecalibrationOptions(tmp_path / "model_best.pth.tar", flat, tmp_path, version="2", classes=order))
    ((card, scans, _, _),) = writing
    assert (card.architecture, card.version, card.classes) == (TINY, "2", order)
    assert (card.preprocessing.input_size, card.preprocessing.color) == (96, "rgb")
    assert (card.preprocessing.mean, card.preprocessing.std) == ((0.1, 0.2, 0.3), (0.229, 0.224, 0.225))
    assert all(order[scan.label] == scan.path.parent.name for scan in scans.calibration)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_a_checkpoint_of_ours_keeps_its_card(flat, tmp_path, writing):
    checkpoint = save_calibrated_checkpoint(tmp_path / "ours.pth")
    recalibrate(RecalibrationOptions(checkpoint, flat, tmp_path / "out"))
    ((card, _, _, name),) = writing
    assert (name, card.name, card.version, card.architecture) == ("ours", "tiny", "0.0.1", TINY)
    assert card.training["calibration"]["checkpoint"]["file"] == "ours.pth"
    with pytest.raises(RunError, match="--image-size"):
        recalibrate(RecalibrationOptions(checkpoint, flat, tmp_path / "out", image_size=64))


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"architecture": "efficientnet_b0"}, CheckpointError, "does not fit"),
        ({"architecture": "nonsense"}, CheckpointError, "nonsense"),
        ({"classes": ("a", "b")}, CheckpointError, "3 outputs"),
        ({"classes": ("a", "b", "c")}, DataError, "expected a folder"),
        ({"version": "2026/11"}, CheckpointError, "version"),
        ({"std": (1, 0, 1)}, CheckpointError, "std"),
        ({"image_size": 8}, CheckpointError, "input_size"),
        ({"groups": Path("missing.csv")}, RunError, r"missing\.csv"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_computed(state_dict, flat, tmp_path, changes, error, named):
    options = {"architecture": TINY, "image_size": 64, **changes}
    with pytest.raises(error, match=named):
        recalibrate(RecalibrationOptions(state_dict, flat, tmp_path / "out", **options))
    assert list((tmp_path / "out").glob("*")) == []


def test_the_order_that_fits_the_outputs_is_named(state_dict, flat, tmp_path, monkeypatch):
    def check_only(_network, card, scans, *_others, check):
        order = [2, 0, 1]
        labels = torch.tensor([scan.label for scan in scans.calibration]).numpy()
        logits = 10 * torch.eye(3).numpy()[[order.index(label) for label in labels]]
        check(create_judged(labels, logits, logits, logits))

    monkeypatch.setattr(recalibration, "write_weights", check_only)
    with pytest.raises(DataError, match="--classes pituitary glioma notumor"):
        recalibrate(RecalibrationOptions(state_dict, flat, tmp_path, architecture=TINY, image_size=64))


def test_scans_that_all_have_copies_in_training_calibrate_nothing(state_dict, tmp_path):
    _draw_scans(tmp_path / "data" / "Training", 12)
    _draw_scans(tmp_path / "data" / "Testing", 4)
    with pytest.raises(DataError, match="nothing to calibrate on"):
        recalibrate(RecalibrationOptions(state_dict, tmp_path / "data", tmp_path, architecture=TINY, image_size=64))


def test_a_missing_checkpoint_is_named_before_the_scans_are_counted(tmp_path, caplog):
    assert main(["calibrate", str(tmp_path / "missing.pth"), str(tmp_path / "no data")]) == 1
    assert [record.message for record in caplog.records] == [f"error: there is no file {tmp_path / 'missing.pth'}"]
