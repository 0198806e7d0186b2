"""A run: from a data folder and a recipe to a checkpoint, its ONNX file and a summary."""

import logging
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from tqdm import tqdm
from tyro.conf import Positional

from model.checkpoints.checkpoint import load_weights
from model.checkpoints.file_hash import hash_file
from training.data.boxes import Box, load_boxes
from training.data.scans import Manifest, ScanFolder, check_scans
from training.data.splits import DataSplits, Fold, SplitName, split_data
from training.errors import RecipeError, RunError
from training.fitting.dataset import ScanDataset, create_loader, derive_seed
from training.fitting.logs import RunLog
from training.fitting.memory import keep_freed_memory
from training.fitting.processes import Processes, join_processes, leave_processes
from training.fitting.progress import find_best_epoch, next_stage, remaining_pixels
from training.fitting.release import Release, read_report, release
from training.fitting.run_state import RunState, clone_weights, load_state, save_state
from training.fitting.starting_weights import (
    copy_matching_weights,
    create_training_network,
    load_teachers,
    start_from,
    start_from_file,
)
from training.fitting.trainer import Score, Trainer
from training.recipe import Recipe, Stage
from training.run import EpochResult, RunReport
from training.tracking.mlflow_tracker import MlflowTracker
from training.tracking.tracker import Tracker, Trackers, describe_run
from training.tracking.wandb_tracker import WandbTracker

STATE_FILE = "last.pt"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """What a run needs besides the recipe.

    Attributes:
        data: Folder with `Training/CLASS/` and, where the result is to be reported on, `Testing/CLASS/`.
        out: Folder for everything the run writes.
        resume: Continue the run in `out`.
        version: Goes into the card.
        device: By default a GPU where there is one.
        num_workers: Processes that augment images.
        initial_weights: A checkpoint of ours to start from, instead of ImageNet or random weights.
        pretrained_file: timm's ImageNet weights as a file, instead of from the model hub.
        split: official tests on Testing/; grouped divides all scans by patients or copies; common tests on both, and
            trains on the scans that both train on.
        groups: Table with the columns path, group and, perhaps, split; without it, copies are found and kept together.
        boxes: Table with the columns path, x0, y0, x1, y1 of tumours, for recipes that learn them.
        mlflow: Record the run there too: a server's address, or file:FOLDER.
        wandb: Project of Weights & Biases, likewise; WANDB_MODE=offline needs no account.
    """

    data: Positional[Path]
    out: Path
    resume: bool = False
    version: str = "1.0.0"
    device: Literal["cpu", "cuda"] | None = None
    num_workers: int = min(4, os.cpu_count() or 1)
    initial_weights: Path | None = None
    pretrained_file: Path | None = None
    split: SplitName = "official"
    groups: Path | None = None
    boxes: Path | None = None
    mlflow: str | None = None
    wandb: str | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.num_workers < 0:
            raise ValueError("--num-workers: expected 0 or more")


@dataclass(frozen=True)
class _Data:
    """Checked and split scans; `fold` is the part tested on, of a run that is one of several in a cross-validation."""

    splits: DataSplits
    boxes: dict[Path, Box]
    manifest: Manifest
    fold: Fold | None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.splits.classes


def fit(recipe: Recipe, options: FitOptions, fold: Fold | None = None) -> RunReport:
    """Train by a recipe and write `NAME.pth`, `NAME.onnx`, `summary.json`, `log.csv` and what TensorBoard shows.

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
        RunError: If `options.out` holds a run that is not to be resumed, or none that could be, or if there is
            no GPU where one is asked for.
    """
    if (options.out / STATE_FILE).exists() and not options.resume:
        raise RunError(f"{options.out} already holds a run: continue it with --resume, or choose another --out")
    device = _choose_device(options.device)
    data = _prepare_data(recipe, options, fold)
    if device.type == "cpu":
        keep_freed_memory()
    processes = join_processes(device)
    if not processes.is_main:
        logger.setLevel(logging.WARNING)
    try:
        return _run(recipe, options, data, device, processes)
    finally:
        leave_processes()


def _run(recipe: Recipe, options: FitOptions, data: _Data, device: torch.device, processes: Processes) -> RunReport:
    if recipe.batch_size % processes.size:
        raise RunError(f"{processes.size} processes cannot share batches of {recipe.batch_size}")
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(recipe.seed)
    state = load_state(options.out / STATE_FILE, recipe, data.manifest.sha256) if options.resume else None
    teachers = load_teachers(recipe, data.classes)
    trainer = Trainer(_start(recipe, options, data, teachers), recipe, device, teachers, processes)
    if state is not None:
        trainer.restore(state.trainer)
    options.out.mkdir(parents=True, exist_ok=True)
    processes.wait()
    with _open_trackers(recipe, options, data, state, trainer) if processes.is_main else nullcontext() as trackers:
        state = _train(trainer, recipe, options, data, state, trackers, processes)
        if trackers is not None:
            _release(recipe, options, data, state)
            trackers.finish(read_report(options.out, recipe.name))
    processes.wait()
    return read_report(options.out, recipe.name)


def _open_trackers(
    recipe: Recipe, options: FitOptions, data: _Data, state: RunState | None, trainer: Trainer
) -> Trackers:
    others = {"split": options.split, "version": options.version, "manifest_sha256": data.manifest.sha256}
    run = describe_run(recipe, options.out, others)
    chosen: list[Tracker] = []
    if options.mlflow is not None:
        chosen.append(MlflowTracker(options.mlflow, run))
    if options.wandb is not None:
        chosen.append(WandbTracker(options.wandb, run))
    log = RunLog(options.out, state.history if state else ())
    if state is None:
        log.draw_graph(trainer.network, recipe.preprocessing().input_size)
    return Trackers([log, *chosen])


def _choose_device(name: str | None) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("no GPU that this build of torch can use was found; leave --device out to train on the CPU")
    kind = name or ("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)


def _prepare_data(recipe: Recipe, options: FitOptions, fold: Fold | None) -> _Data:
    root = options.data
    splits = split_data(root, options.split, options.groups, recipe.seed, fold, recipe.class_map)
    if recipe.learn_validation:
        splits = splits.learn_validation()
    used = (*splits.train, *splits.validation, *splits.calibration)
    manifest = check_scans(ScanFolder(root, splits.classes, used))
    for test in splits.tests:
        check_scans(ScanFolder(root, splits.classes, test.scans))
    boxes = {root / name: box for name, box in load_boxes(options.boxes).items()} if options.boxes else {}
    if recipe.location_weight and not boxes:
        raise RecipeError("location_weight needs a table of boxes: name one with --boxes, or set it to 0")
    logger.info(
        "%d scans to train on, %d to validate, %d to calibrate, of %s",
        *map(len, (splits.train, splits.validation, splits.calibration)),
        splits.classes,
    )
    return _Data(splits, boxes, manifest, fold)


def _start(recipe: Recipe, options: FitOptions, data: _Data, teachers: Sequence[nn.Module]) -> nn.Module:
    network = create_training_network(recipe, len(data.classes), pretrained=_wants_pretrained(recipe, options))
    if options.resume:
        return network
    if options.initial_weights is not None:
        start_from(network, recipe, data.classes, options.initial_weights)
    elif options.pretrained_file is not None:
        start_from_file(network, options.pretrained_file)
    if recipe.start_from_teacher and teachers:
        logger.info("%d kernels start as the teacher's", copy_matching_weights(network, teachers[0]))
    return network


def _wants_pretrained(recipe: Recipe, options: FitOptions) -> bool:
    elsewhere = options.resume or options.initial_weights or options.pretrained_file
    return recipe.pretrained and not elsewhere


def _train(
    trainer: Trainer,
    recipe: Recipe,
    options: FitOptions,
    data: _Data,
    state: RunState | None,
    trackers: Trackers | None,
    processes: Processes,
) -> RunState:
    stage_index: int | None = None
    sources = state.sources if state else _describe_sources(recipe, options)
    history = state.history if state else ()
    start, pixels_done = time.monotonic(), 0
    while (index := next_stage(recipe, history)) is not None:
        stage = recipe.stages[index]
        if stage_index != index:
            trainer.enter_stage(stage, is_new=all(result.stage != index + 1 for result in history))
            training, validation = _create_datasets(recipe, stage, data)
            stage_index = index
        result = _run_epoch(trainer, recipe, options, training, validation, len(history), index, processes)
        history = (*history, result)
        best_epoch = find_best_epoch(recipe, history)
        if state is None or best_epoch == result.epoch:
            best_weights = clone_weights(trainer.network)
        else:
            best_weights = state.best_weights
        state = RunState(trainer.state(), best_weights, best_epoch, history, sources)
        if trackers is not None:
            save_state(options.out / STATE_FILE, state, recipe, data.manifest.sha256)
            trackers.write(result)
        pixels_done += stage.image_size**2
        if processes.is_main:
            remaining_seconds = (time.monotonic() - start) * remaining_pixels(recipe, history) / pixels_done
            _report(result, recipe, best_epoch == result.epoch, remaining_seconds)
    if state is None:
        raise RunError("the recipe has no epochs")
    return state


def _create_datasets(recipe: Recipe, stage: Stage, data: _Data) -> tuple[ScanDataset, ScanDataset]:
    preprocessing = recipe.preprocessing(stage)
    boxes = data.boxes if recipe.location_weight else None
    return (
        ScanDataset(data.splits.train, preprocessing, recipe.augmentation, boxes, recipe.seed),
        ScanDataset(data.splits.validation, preprocessing),
    )


def _run_epoch(
    trainer: Trainer,
    recipe: Recipe,
    options: FitOptions,
    training: ScanDataset,
    validation: ScanDataset,
    epoch: int,
    stage_index: int,
    processes: Processes,
) -> EpochResult:
    start = time.monotonic()
    torch.manual_seed(derive_seed(recipe.seed, epoch, processes.rank))  # dropout
    load = partial(create_loader, epoch=epoch, num_workers=options.num_workers, processes=processes)
    loader = load(training, recipe.batch_size, shuffle_seed=recipe.seed)
    score = Score(float("nan"), float("nan"))
    size = recipe.stages[stage_index].image_size
    title = f"epoch {epoch + 1}/{recipe.num_epochs} {size} px"
    with tqdm(total=len(loader), desc=title, disable=None if processes.is_main else True) as bar:
        for score in trainer.train(loader, epoch, len(loader)):
            bar.update()
            bar.set_postfix(loss=f"{score.loss:.4f}", accuracy=f"{score.accuracy:.4f}", refresh=False)
    rate = trainer.learning_rate
    validated: Score | None = None
    if len(validation):
        validated = trainer.validate(load(validation, 2 * recipe.batch_size, shuffle_seed=None))
        trainer.end_epoch(validated.loss)
    seconds = round(time.monotonic() - start, 3)
    return EpochResult(
        epoch=epoch + 1,
        stage=stage_index + 1,
        image_size=size,
        learning_rate=rate,
        train_loss=score.loss,
        train_accuracy=score.accuracy,
        validation_loss=None if validated is None else validated.loss,
        validation_accuracy=None if validated is None else validated.accuracy,
        seconds=seconds,
    )


def _report(result: EpochResult, recipe: Recipe, kept: bool, remaining_seconds: float) -> None:
    validated = ""
    if result.validation_loss is not None:
        validated = f", validation loss {result.validation_loss:.4f} accuracy {result.validation_accuracy:.4f}"
    logger.info(
        "epoch %d/%d (%d px, rate %.2e): training loss %.4f accuracy %.4f%s%s; %.0f s, about %.0f min to go",
        result.epoch,
        recipe.num_epochs,
        result.image_size,
        result.learning_rate,
        result.train_loss,
        result.train_accuracy,
        validated,
        " (kept)" if kept else "",
        result.seconds,
        remaining_seconds / 60,
    )


def _release(recipe: Recipe, options: FitOptions, data: _Data, state: RunState) -> None:
    network = create_training_network(recipe, len(data.classes), pretrained=False)
    load_weights(network, state.best_weights)
    logger.info("calibrating the weights of epoch %d and testing them", state.best_epoch)
    contents = Release(
        recipe=recipe,
        version=options.version,
        split=options.split,
        state=state,
        manifest=data.manifest,
        data=data.splits,
        fold=data.fold,
        initial_weights=options.initial_weights,
    )
    release(network, contents, options.out)


def _describe_sources(recipe: Recipe, options: FitOptions) -> dict[str, str]:
    """Hash every file that the weights learnt from, besides the scans."""
    files = {
        "initial_weights_sha256": options.initial_weights,
        "pretrained_file_sha256": options.pretrained_file,
        "groups_sha256": options.groups,
        "boxes_sha256": options.boxes if recipe.location_weight else None,
    }
    hashes = {name: hash_file(path) for name, path in files.items() if path is not None}
    teachers = {f"teacher_{index}_sha256": hash_file(Path(path)) for index, path in enumerate(recipe.teacher)}
    return {**hashes, **teachers}
