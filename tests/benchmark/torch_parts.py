"""The network in torch, alone and in training: an epoch of `fit` beside the arithmetic that it cannot do without.

Imported only in a process of its own: torch takes memory and time to load.
"""

import tempfile
import time
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from model.card import Preprocessing
from model.checkpoints.checkpoint import Checkpoint, load_checkpoint
from model.host.cores import available_cores
from model.networks.network import create_network
from tests.benchmark.parts import Pace, time_calls, write_folder
from tests.benchmark.usual import HookedGradCam
from training.data.possible_labels import PossibleLabels
from training.data.scans import Scan
from training.fitting.options import FitOptions
from training.learning.dataset import ScanDataset, create_loader
from training.learning.memory import keep_freed_memory
from training.learning.trainer import Trainer
from training.recipe import Recipe
from training.recipe_files import load_recipe

_RECIPE, _SIDE, _NUM_CLASSES = "efficientnet_b0_scratch", 128, 4
_NUM_BATCHES = 6  # of which the first is not counted: it starts the processes that augment
_Moment = tuple[float, float]  # seconds of the clock and of the processor


def time_torch(path: Path, num_threads: int, seconds: float) -> Pace:
    """Time torch as it comes ("eager")."""
    checkpoint, inputs = _load(path)
    torch.set_num_threads(num_threads)

    def call() -> object:
        with torch.inference_mode():
            return checkpoint.network(inputs)

    return time_calls(call, 1, seconds)


def time_torch_cam(path: Path, num_threads: int, seconds: float) -> Pace:
    """Time torch with Grad-CAM by hooks and a backward pass."""
    checkpoint = load_checkpoint(path)  # of its own: hooks would slow down the other one
    cam, (_, inputs) = HookedGradCam(checkpoint.network, checkpoint.card.gradcam_layer), _load(path)
    torch.set_num_threads(num_threads)
    return time_calls(lambda: cam.explain(inputs), 1, seconds)


def time_training() -> Pace:
    """Train as `fit` does: augmented scans from its loader, its loss, its optimiser."""
    recipe, trainer, dataset = _prepare_training()
    loader = create_loader(dataset, recipe.batch_size, 0, shuffle_seed=0, num_workers=FitOptions.num_workers)
    moments = [_now() for _ in trainer.train(loader, 0, len(loader))]
    return _measure_pace(moments[:-1], recipe.batch_size)  # at last comes the score of all of them


def time_arithmetic() -> Pace:
    """Time forward, backward and step on one batch in memory: the least that training can take."""
    recipe, trainer, _ = _prepare_training()
    inputs = torch.randn(recipe.batch_size, 3, _SIDE, _SIDE).to(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch_size) % _NUM_CLASSES
    network = trainer.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    moments = []
    for _ in range(_NUM_BATCHES):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
        moments.append(_now())
    return _measure_pace(moments, recipe.batch_size)


def _now() -> _Moment:
    return time.perf_counter(), time.process_time()


def _measure_pace(moments: list[_Moment], batch_size: int) -> Pace:
    """Compute the pace from the ends of the batches."""
    gaps = [end - begin for (begin, _), (end, _) in pairwise(moments)]
    cpu = (moments[-1][1] - moments[0][1]) / (len(gaps) * batch_size)
    return Pace(1000 * median(gaps), batch_size / median(gaps), 1000 * cpu)


@cache
def _load(path: Path) -> tuple[Checkpoint, Tensor]:
    checkpoint = load_checkpoint(path)
    checkpoint.network.eval()
    size = checkpoint.card.preprocessing.input_size
    return checkpoint, torch.randn(1, 3, size, size)


@cache
def _prepare_training() -> tuple[Recipe, Trainer, ScanDataset]:
    keep_freed_memory()
    torch.set_num_threads(available_cores())
    recipe = load_recipe(_RECIPE, {})
    preprocessing = Preprocessing(input_size=_SIDE, mean=recipe.mean, std=recipe.std, color="grey")
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), _NUM_BATCHES * recipe.batch_size)
        scans = [Scan(path, index % _NUM_CLASSES) for index, path in enumerate(sorted(Path(folder).iterdir()))]
        dataset = ScanDataset(scans, preprocessing, PossibleLabels.of([""] * _NUM_CLASSES, {}), recipe.augmentation)
    network = create_network(recipe.architecture, _NUM_CLASSES)
    return recipe, Trainer(network, recipe, torch.device("cpu")), dataset
