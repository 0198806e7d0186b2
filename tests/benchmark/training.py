"""An epoch of `fit` against the arithmetic alone: how long the network waits for its data and for everything else."""

import tempfile
import time
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from model.host.cores import available_cores
from tests.benchmark.engines import Pace
from tests.benchmark.pictures import draw_pictures

if TYPE_CHECKING:
    from training.fitting.dataset import ScanDataset
    from training.fitting.trainer import Trainer
    from training.recipe import Recipe

_RECIPE, _SIDE = "efficientnet_b0_scratch", 128
_NUM_BATCHES = 6  # of which the first is not counted: it starts the processes that augment
_CLASSES = ("a", "b", "c", "d")


def time_training() -> Pace:
    """Train as `fit` does: augmented scans from its loader, its loss, its optimiser."""
    from training.fitting.dataset import create_loader
    from training.fitting.fit import FitOptions

    recipe, trainer, dataset = _prepare()
    loader = create_loader(dataset, recipe.batch_size, 0, shuffle_seed=0, num_workers=FitOptions.num_workers)
    moments = [(time.perf_counter(), time.process_time()) for _ in trainer.train(loader, 0, len(loader))]
    return _measure_pace(moments[:-1], recipe.batch_size)  # at last comes the score of all of them


def time_arithmetic() -> Pace:
    """Forward, backward and step on one batch that lies there: the least that training can take."""
    import torch
    from torch.nn import functional

    recipe, trainer, _ = _prepare()
    inputs = torch.randn(recipe.batch_size, 3, _SIDE, _SIDE).to(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch_size) % len(_CLASSES)
    network = trainer.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    moments = []
    for _ in range(_NUM_BATCHES):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
        moments.append((time.perf_counter(), time.process_time()))
    return _measure_pace(moments, recipe.batch_size)


def _measure_pace(moments: list[tuple[float, float]], batch_size: int) -> Pace:
    """Compute the pace from when each batch was done, in seconds of the clock and of the processor."""
    gaps = [end - begin for (begin, _), (end, _) in pairwise(moments)]
    cpu = (moments[-1][1] - moments[0][1]) / (len(gaps) * batch_size)
    return Pace(1000 * median(gaps), batch_size / median(gaps), 1000 * cpu)


@cache
def _prepare() -> "tuple[Recipe, Trainer, ScanDataset]":
    import torch

    from model.card import Preprocessing
    from model.networks.network import create_network
    from training.data.scans import Scan
    from training.fitting.dataset import ScanDataset
    from training.fitting.memory import keep_freed_memory
    from training.fitting.trainer import Trainer
    from training.recipe import load_recipe

    keep_freed_memory()
    torch.set_num_threads(available_cores())
    recipe = load_recipe(_RECIPE, {})
    preprocessing = Preprocessing(input_size=_SIDE, mean=recipe.mean, std=recipe.std, color="grey")
    with tempfile.TemporaryDirectory() as folder:
        pictures = draw_pictures("JPEG", 224, 16)
        paths = [Path(folder) / f"{index}.jpg" for index in range(_NUM_BATCHES * recipe.batch_size)]
        for index, path in enumerate(paths):
            path.write_bytes(pictures[index % len(pictures)].data)
        scans = [Scan(path, index % len(_CLASSES)) for index, path in enumerate(paths)]
        dataset = ScanDataset(scans, preprocessing, recipe.augmentation)
    network = create_network(recipe.architecture, len(_CLASSES))
    return recipe, Trainer(network, recipe, torch.device("cpu")), dataset
