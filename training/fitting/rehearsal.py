"""A run without training: its scans, and what its stages will take, from one measured batch each."""

import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass

import torch

from training.data.coarse import LEARNT_PARTS
from training.data.possible_labels import PossibleLabels
from training.fitting.fit import create_trainer, prepare_run
from training.fitting.options import FitOptions
from training.fitting.release import estimate_seconds
from training.fitting.run_data import RunData
from training.learning.dataset import ScanDataset, create_loader
from training.learning.processes import ALONE
from training.learning.trainer import Trainer
from training.pages.tables import align
from training.recipe import Recipe, Stage

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class StageCosts:
    """Of one epoch of a stage: time, and memory with all its images; on a GPU that of the GPU."""

    stage: Stage
    seconds: float
    memory_bytes: int


def rehearse(recipe: Recipe, options: FitOptions) -> str:
    """Check everything that a run checks, train on one batch a stage, and describe the rest; nothing is written.

    Raises:
        TrainingError, ModelError: As `training.fitting.fit.fit` before its first epoch.
    """
    device, data = prepare_run(recipe, options, None)
    trainer = create_trainer(recipe, options, data, device, ALONE)
    costs = [_measure_stage(trainer, stage, recipe, data, options.num_workers) for stage in recipe.stages]
    after = estimate_seconds(trainer.network, recipe, data)
    total = after + sum(cost.stage.epochs * cost.seconds for cost in costs)
    times = f"about {total / 60:.0f} min in all, of them {after / 60:.0f} to calibrate, test and export"
    return f"{_tabulate_scans(data)}\n\n{_tabulate_costs(costs)}\n\n{times}; nothing was written\n"


def _measure_stage(trainer: Trainer, stage: Stage, recipe: Recipe, data: RunData, num_workers: int) -> StageCosts:
    """Train on one batch twice, the first time to warm up, and validate on one."""
    trainer.enter_stage(stage, is_new=True)
    preprocessing, possible = recipe.preprocessing(stage), PossibleLabels.of(data.splits.classes, recipe.class_kinds)
    train, validation = data.part("train"), data.part("validation")
    boxes = data.boxes if recipe.location_weight else None
    batch = ScanDataset(train[: recipe.batch_size], preprocessing, possible, recipe.augmentation, boxes, recipe.seed)
    for _ in range(2):
        start = time.monotonic()
        batches = list(create_loader(batch, len(batch), 0, shuffle_seed=None, num_workers=0, device=trainer.device))
        read = time.monotonic()
        list(trainer.train(batches, 0, 1))
        learnt = time.monotonic()
    trainer.validate(batches)
    validated = time.monotonic() - learnt
    step = max((read - start) / num_workers, learnt - read) if num_workers else learnt - start
    seconds = (step * len(train) + validated * len(validation)) / len(batch)
    channels = 1 if preprocessing.color == "grey" else 3
    images = (len(train) + len(validation)) * channels * stage.image_size**2
    return StageCosts(stage, seconds, _peak_memory(trainer.device, images))


def _peak_memory(device: torch.device, image_bytes: int) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit + image_bytes


def _tabulate_scans(data: RunData) -> str:
    parts = {part: data.part(part) for part in LEARNT_PARTS} | {test.name: test.scans for test in data.splits.tests}
    counts = {part: Counter(scan.label for scan in scans) for part, scans in parts.items()}
    rows = [[name, *(str(counts[part][label]) for part in parts)] for label, name in enumerate(data.splits.classes)]
    return align([["scans", *parts], *rows, ["all", *(str(len(scans)) for scans in parts.values())]], 2)


def _tabulate_costs(costs: list[StageCosts]) -> str:
    rows = [
        [
            str(number),
            str(cost.stage.epochs),
            f"{cost.stage.image_size} px",
            f"{cost.seconds:.1f}",
            f"{cost.memory_bytes / _MEBIBYTE:.0f} MiB",
        ]
        for number, cost in enumerate(costs, start=1)
    ]
    return align([["stage", "epochs", "images", "seconds an epoch", "memory"], *rows], 2)
