"""A run: from a data folder and a recipe to a checkpoint, its ONNX file and a summary."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.checkpoints.checkpoint import load_weights
from model.checkpoints.file_hash import hash_file
from training.data.carving import Fold
from training.errors import RunError
from training.fitting.epochs import STATE_FILE, EpochRunner
from training.fitting.logs import RunLog
from training.fitting.options import FitOptions, describe_options
from training.fitting.release import Release, check_card, describe_origins, read_report, release
from training.fitting.run_data import RunData, prepare_data
from training.fitting.run_file import RunStart, load_start, save_start
from training.fitting.run_state import RunState, load_state
from training.learning.dataset import report_dead_workers
from training.learning.memory import keep_freed_memory
from training.learning.processes import Processes, join_processes, leave_processes
from training.learning.starting_weights import (
    check_networks,
    copy_matching_weights,
    create_training_network,
    load_teachers,
    start_from,
    start_from_file,
)
from training.learning.trainer import Trainer
from training.recipe import Recipe
from training.run import RunReport
from training.tracking.mlflow_tracker import MlflowTracker
from training.tracking.tracker import Tracker, Trackers, describe_run
from training.tracking.wandb_tracker import WandbTracker

logger = logging.getLogger(__name__)


def fit(recipe: Recipe, options: FitOptions, fold: Fold | None = None) -> RunReport:
    """Train by a recipe and write `NAME.pth`, `NAME.onnx`, `summary.json`, `log.csv` and TensorBoard's files.

    Validation sees scans of the stage's size; of the epochs at the size that will be served, the one with the lowest
    validation loss is kept, or the last where the validation part is trained on. After every epoch the state is saved:
    a run that is killed and resumed ends with the same weights as one that was not (on the CPU; on a GPU as far as its
    kernels are deterministic).

    Args:
        fold: Of a grouped split, the part to test on; by default the one `test` part.

    Raises:
        CheckpointError: If the initial weights cannot be loaded or are of another architecture.
        DataError: If the data folder is not as expected; before the first epoch.
        PretrainedError: If ImageNet weights are wanted and cannot be had.
        TrackingError: If the run is to be recorded where it cannot be; before the first epoch.
        RecipeError: If a value of the recipe does not fit the network.
        RunError: If `options.out` holds another run, or none to resume, a file is missing, the card cannot be written,
            or there is no GPU where one is asked for.
    """
    has_state = (options.out / STATE_FILE).exists()
    if has_state and not options.resume:
        raise RunError(f"{options.out} already holds a run: continue it with --resume, or choose another --out")
    if options.resume and not has_state:
        load_start(options.out, "" if fold else "fit")  # stopped in its first epoch: it starts again
        options = replace(options, resume=False)
    device, data = prepare_run(recipe, options, fold)
    processes = join_processes(device)
    try:
        return _run(recipe, options, data, device, processes)
    finally:
        leave_processes()


def prepare_run(recipe: Recipe, options: FitOptions, fold: Fold | None) -> tuple[torch.device, RunData]:
    """Check all that can be checked without a network, and find device and scans; errors are those of `fit`."""
    device = _choose_device(options.device)
    _check_files(recipe, options)
    check_card(recipe, options.version)
    data = prepare_data(recipe, options.data, options.split, fold, options.groups, options.boxes, options.coarse)
    check_card(recipe, options.version, data.splits.classes, data.splits.class_map)
    if device.type == "cpu":
        keep_freed_memory()
    return device, data


def create_trainer(
    recipe: Recipe, options: FitOptions, data: RunData, device: torch.device, processes: Processes
) -> Trainer:
    """Create the network with the weights that it starts from, and what trains it; errors are those of `fit`."""
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(recipe.seed)
    teachers = load_teachers(recipe, data.splits.classes)
    network = _create_network(recipe, options, data, teachers)
    check_networks(network, teachers, recipe)
    return Trainer(network, recipe, device, teachers, processes)


def _run(recipe: Recipe, options: FitOptions, data: RunData, device: torch.device, processes: Processes) -> RunReport:
    if recipe.batch_size % processes.size:
        raise RunError(f"{processes.size} processes cannot share batches of {recipe.batch_size}")
    sources = _hash_sources(recipe, options)
    if options.resume:
        state = load_state(options.out / STATE_FILE, recipe, data, sources)
    else:
        state = RunState({}, {}, 0, (), sources)
    trainer = create_trainer(recipe, options, data, device, processes)
    if state.history:
        trainer.restore(state.trainer)
    if processes.is_main:
        save_start(options.out, RunStart("" if data.fold else "fit", recipe, describe_options(options)))
    processes.wait()
    origins = describe_origins(recipe, options.initial_weights)
    runner = EpochRunner(recipe, data, trainer, processes, options.num_workers)
    with _open_trackers(recipe, options, data, state, trainer) if processes.is_main else nullcontext() as trackers:
        with report_dead_workers():
            state = runner.run(state, options.out, trackers)
        if trackers is not None:
            _release(recipe, options, data, state, origins)
            trackers.finish(read_report(options.out, recipe.name))
    processes.wait()
    return read_report(options.out, recipe.name)


def _check_files(recipe: Recipe, options: FitOptions) -> None:
    for path in (*options.files.values(), *map(Path, recipe.teacher)):
        if not path.is_file():
            raise RunError(f"there is no file {path}")


def _choose_device(name: str | None) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("no GPU that this build of torch can use was found; leave --device out to train on the CPU")
    kind = name or ("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)


def _create_network(recipe: Recipe, options: FitOptions, data: RunData, teachers: Sequence[nn.Module]) -> nn.Module:
    classes = data.splits.classes
    elsewhere = options.resume or options.initial_weights or options.pretrained_file
    network = create_training_network(recipe, len(classes), pretrained=recipe.pretrained and not elsewhere)
    if options.resume:
        return network
    if options.initial_weights is not None:
        start_from(network, recipe, classes, options.initial_weights)
    elif options.pretrained_file is not None:
        start_from_file(network, options.pretrained_file)
    if recipe.start_from_teacher and teachers:
        logger.info("%d kernels start as the teacher's", copy_matching_weights(network, teachers[0]))
    return network


def _open_trackers(recipe: Recipe, options: FitOptions, data: RunData, state: RunState, trainer: Trainer) -> Trackers:
    others = {"split": data.splits.name, "version": options.version, "manifest_sha256": data.manifest.sha256}
    run = describe_run(recipe, options.out, others)
    chosen: list[Tracker] = []
    if options.mlflow is not None:
        chosen.append(MlflowTracker(options.mlflow, run))
    if options.wandb is not None:
        chosen.append(WandbTracker(options.wandb, run))
    log = RunLog(run, state.history)
    if not state.history:
        log.draw_graph(trainer.network, recipe.preprocessing().input_size)
    return Trackers([log, *chosen])


def _release(recipe: Recipe, options: FitOptions, data: RunData, state: RunState, origins: Mapping[str, Any]) -> None:
    network = create_training_network(recipe, len(data.splits.classes), pretrained=False)
    load_weights(network, state.best_weights)
    logger.info("calibrating the weights of epoch %d and testing them", state.best_epoch)
    release(
        network,
        Release(recipe, options.version, data.splits.name, state, data, origins),
        options.out,
    )


def _hash_sources(recipe: Recipe, options: FitOptions) -> dict[str, str]:
    """Hash every file that the weights learnt from, besides the scans."""
    learnt = {name: path for name, path in options.files.items() if name != "boxes" or recipe.location_weight}
    hashes = {f"{name}_sha256": hash_file(path) for name, path in learnt.items()}
    teachers = {f"teacher_{index}_sha256": hash_file(Path(path)) for index, path in enumerate(recipe.teacher)}
    return {**hashes, **teachers}
