"""A made-up data folder with a table of groups, what the tiny network makes of it, and runs without tracing."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from model.classifier import Classifier
from model.engines.engine import Engine
from model.engines.loading import load_engine
from tests.samples.phantoms import CLASSES, draw_scan, encode
from training.calibration import weight_files
from training.cross_validation import cross_validation
from training.evaluation.evaluation import Evaluation, EvaluationOptions, evaluate

AWKWARD_NAME = "<b>a&b.png"


@pytest.fixture(scope="session")
def grouped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes in Training and Testing, where four pictures of a class lie in both; groups.csv pairs them up."""
    root = tmp_path_factory.mktemp("grouped")
    rows = []
    for split, pictures in (("Training", range(8)), ("Testing", range(4, 10))):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index, picture in enumerate(pictures):
                file = folder / (AWKWARD_NAME if index == 5 else f"{index}.png")
                generator = np.random.default_rng([label, picture])
                spot = None if name == "notumor" else tuple(generator.uniform(0.3, 0.7, 2))
                file.write_bytes(encode(draw_scan(48 + picture, spot, seed=int(generator.integers(2**31)))))
                group = f"{name} {picture // 2}"
                part = {"0": "validation", "3": "test", "4": "test"}.get(group[-1], "train")
                rows.append([file.relative_to(root).as_posix(), group, part])
    with (root / "groups.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["path", "group", "split"], *rows])
    return root


@pytest.fixture(scope="session")
def evaluation(tiny_pair: tuple[Path, Path], grouped_folder: Path) -> Evaluation:
    """All three splits, classified by the tiny network."""
    groups = grouped_folder / "groups.csv"
    return evaluate(EvaluationOptions(grouped_folder, tiny_pair[0], groups, prevalence=0.05, num_threads=1))


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of ONNX files, whose tracing takes seconds, copies of the checkpoints, and their engines."""

    def load(path: Path) -> Engine:
        return load_engine(path.with_suffix(".pth"))

    for name in ("export_onnx", "update_card"):
        monkeypatch.setattr(weight_files, name, shutil.copyfile)
    for module in (weight_files, cross_validation):
        monkeypatch.setattr(module, "load_engine", load)
    classifier = SimpleNamespace(load=lambda path: Classifier.load(path.with_suffix(".pth")))
    monkeypatch.setattr(weight_files, "Classifier", classifier)
