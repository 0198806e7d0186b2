"""A made-up data folder with a table of groups, and what the tiny network makes of it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.phantoms import CLASSES, draw_scan, encode
from training.evaluation import Evaluation, EvaluationOptions, evaluate

AWKWARD_NAME = "<b>a&b.png"


@pytest.fixture(scope="session")
def grouped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes in Training and Testing; two scans a group, of which some are in both folders; groups.csv."""
    root = tmp_path_factory.mktemp("grouped")
    generator = np.random.default_rng(1)
    rows = []
    for split, count in (("Training", 8), ("Testing", 6)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                file = folder / (AWKWARD_NAME if index == 5 else f"{index}.png")
                spot = None if name == "notumor" else tuple(generator.uniform(0.3, 0.7, 2))
                file.write_bytes(encode(draw_scan(48 + index, spot, seed=int(generator.integers(2**31)))))
                group = f"{name} {index // 2 + (2 if split == 'Testing' else 0)}"  # 0, 1, 2, 3 and 2, 3, 4
                part = {"0": "validation", "1": "train", "2": "train"}.get(group[-1], "test")
                rows.append([file.relative_to(root).as_posix(), group, part])
    with (root / "groups.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["path", "group", "split"], *rows])
    return root


@pytest.fixture(scope="session")
def evaluation(tiny_pair: tuple[Path, Path], grouped_folder: Path) -> Evaluation:
    """All three splits, judged by the tiny network."""
    groups = grouped_folder / "groups.csv"
    return evaluate(EvaluationOptions(grouped_folder, tiny_pair[0], groups, prevalence=0.05, num_threads=1))
