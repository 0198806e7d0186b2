"""Targets of the Makefile call commands of training that exist; `make weights` turns a data folder into weights."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from tests.samples.phantoms import TINY, draw_scan, encode
from tests.test_weights import CLASSES
from training.command_line import parse_command

ROOT = Path(__file__).parents[1]
RUN = "runs/efficientnet_b0_coarse"
PYTHON = ".venv/bin/python -m training "
TABLES = ("GROUPS=groups.csv", "BOXES=boxes.csv", "COARSE=elsewhere/elsewhere.csv")
TINY_FIT = f"--architecture {TINY} --pretrained false --epochs 3 --image-size 64 --num-workers 0"


@pytest.fixture
def folder(tmp_path):
    """A folder to run make in: its environment is installed, and is this one."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    for name in ("requirements.txt", ".venv/.installed"):
        (tmp_path / name).touch()
    return tmp_path


def run_make(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["make", "--file", str(ROOT / "Makefile"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def list_training(output: str) -> list[list[str]]:
    """The arguments of every `python -m training` in what `make --dry-run` prints."""
    lines = output.replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix(PYTHON)) for line in lines if line.startswith(PYTHON)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["train"], ["fit"]),
        (["evaluate", "GROUPS=groups.csv"], ["evaluate"]),
        (["audit"], ["audit"]),
        (["weights"], ["fit", "evaluate", "audit", "model-card"]),
        (
            ["weights", *TABLES, "PRETRAINED=lite.pth", "OFFICIAL=other.pth", "CROSS_VALIDATION=folds.json"],
            ["fit", "evaluate", "localize", "audit", "model-card"],
        ),
    ],
)
def test_every_command_about_training_exists_with_its_options(folder, arguments, names):
    commands = list_training(run_make(folder, "--dry-run", *arguments, "DATA=data"))
    assert [command[0] for command in commands] == names
    for command in commands:
        parse_command(command)


def test_weights_whose_training_was_stopped_go_on(folder):
    fit = list_training(run_make(folder, "--dry-run", "weights", "DATA=data"))[0]
    assert fit[fit.index("--out") + 1] == RUN
    (folder / RUN).mkdir(parents=True)
    (folder / RUN / "run.json").touch()
    fit = list_training(run_make(folder, "--dry-run", "weights", "DATA=data"))[0]
    assert fit[fit.index("--resume") + 1] == RUN
    assert "--out" not in fit


@pytest.mark.slow
def test_weights_are_made_from_a_data_folder_and_its_tables(folder):
    write_data(folder)
    arguments = ("weights", "DATA=data", *TABLES, f"FIT={TINY_FIT}", "OUT=made", "VERSION=9.9.9")
    run_make(folder, *arguments)
    made = folder / "made"
    files = [made / f"efficientnet_b0{suffix}" for suffix in (".onnx", ".pth")]
    sums = "".join(f"{hash_file(file)}  {file.name}\n" for file in files)
    assert (made / "SHA256SUMS").read_text(encoding="ascii") == sums
    classifier = Classifier.load(files[0])
    assert (classifier.card.classes, classifier.card.version) == (CLASSES, "9.9.9")
    page = (made / "README.md").read_text(encoding="utf-8")
    for text in (
        "| lgg | CC BY-NC-SA 4.0 | 12 | 6 | 6 |",
        "## Heat maps",
        "## Simulated shift",
        "## Scans from elsewhere",
        "grouped test, 24 images",
        hash_file(files[1]),
    ):
        assert text in page
    again = list_training(run_make(folder, "--dry-run", *arguments))
    assert [command[0] for command in again] == ["model-card"]


def write_data(folder: Path) -> None:
    """Four classes, divided by patient, with a box of every tumour, and lesions of another hospital."""
    generator = np.random.default_rng(0)
    groups, boxes = ["path,group,split"], ["path,x0,y0,x1,y1"]
    for number, name in enumerate(16 * CLASSES):
        file = folder / "data" / ("Training", "Testing")[number // 4 % 4 == 3] / name / f"{number}.png"
        spot = None if name == "notumor" else tuple(generator.uniform(0.35, 0.65, 2))
        write_scan(file, spot, seed=number)
        path = file.relative_to(folder / "data").as_posix()
        part = ("train", "test", "validation", "train", "calibration", "test", "train", "test")[number // 4 % 8]
        groups.append(f"{path},{number},{part}")
        if spot is not None:
            boxes.append(f"{path},{spot[0] - 0.1},{spot[1] - 0.1},{spot[0] + 0.1},{spot[1] + 0.1}")
    elsewhere = ["path,source,patient,label,sequence,plane,split,licence"]
    for number in range(24):
        label = ("tumour", "lesion_free", "not_mri_head")[number % 3]
        write_scan(folder / "elsewhere" / f"{number}.png", (0.5, 0.5) if label == "tumour" else None, seed=100 + number)
        part = ("train", "validation", "train", "calibration")[number // 3 % 4]
        elsewhere.append(f"{number}.png,lgg,{number},{label},flair,axial,{part},CC BY-NC-SA 4.0")
    tables = {"groups.csv": groups, "boxes.csv": boxes, "elsewhere/elsewhere.csv": elsewhere}
    for name, rows in tables.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_scan(file: Path, spot: tuple[float, float] | None, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(draw_scan(48, spot, seed)))
