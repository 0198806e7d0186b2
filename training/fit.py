"""A run: from a data folder and a recipe to a checkpoint, its ONNX file and a summary."""

import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from model.checkpoint import hash_file, load_checkpoint, load_weights
from model.errors import CheckpointError, ModelError
from model.network import create_network, find_layer
from training.augmentation import create_augmentation
from training.dataset import ScanDataset, create_loader, derive_seed
from training.errors import PretrainedError, RunError
from training.logs import RunLog
from training.memory import keep_freed_memory
from training.recipe import Recipe, Stage
from training.release import Release, RunReport, release
from training.run_state import EpochResult, RunState, clone_weights, load_state, save_state
from training.scans import (
    TESTING,
    TRAINING,
    Manifest,
    Scan,
    ScanFolder,
    carve_validation,
    check_scans,
    find_scans,
)
from training.trainer import Score, Trainer

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
        device: "cpu", "cuda", or None for a GPU where there is one.
        num_workers: Processes that augment images.
        initial_weights: A checkpoint of ours to start from, instead of ImageNet or random weights.
    """

    data: Path
    out: Path
    resume: bool = False
    version: str = "1.0.0"
    device: str | None = None
    num_workers: int = min(4, os.cpu_count() or 1)
    initial_weights: Path | None = None


@dataclass(frozen=True)
class _Data:
    """Checked and split scans."""

    classes: tuple[str, ...]
    training: list[Scan]
    validation: list[Scan]
    testing: ScanFolder | None
    manifest: Manifest


def fit(recipe: Recipe, options: FitOptions) -> RunReport:
    """Train by a recipe and write `NAME.pth`, `NAME.onnx`, `summary.json`, `log.csv` and TensorBoard curves.

    The epoch with the lowest validation loss of the last stage is kept. After every epoch the state is
    saved: a run that is killed and resumed ends with the same weights as one that was not (on the CPU; on a
    GPU as far as its kernels are deterministic).

    Raises:
        CheckpointError: If the initial weights cannot be loaded or are of another architecture.
        DataError: If the data folder is not as expected; before the first epoch.
        PretrainedError: If ImageNet weights are wanted and cannot be had.
        RunError: If `options.out` holds a run that is not to be resumed, or none that could be, or if there is
            no GPU where one is asked for.
    """
    if (options.out / STATE_FILE).exists() and not options.resume:
        raise RunError(f"{options.out} already holds a run: continue it with --resume, or choose another --out")
    device = _choose_device(options.device)
    data = _prepare_data(recipe, options.data)
    if device.type == "cpu":
        keep_freed_memory()
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(recipe.seed)
    state_path = options.out / STATE_FILE
    state = load_state(state_path, recipe, data.manifest.sha256) if options.resume else None
    network = _create_network(recipe, len(data.classes), pretrained=_wants_pretrained(recipe, options))
    if options.initial_weights is not None and state is None:
        start_from(network, recipe, data.classes, options.initial_weights)
    trainer = Trainer(network, recipe, device)
    if state is not None:
        trainer.restore(state.trainer)
    options.out.mkdir(parents=True, exist_ok=True)
    with RunLog(options.out, state.history if state else ()) as log:
        state = _train(trainer, recipe, options, data, state, log)
    return _release(recipe, options, data, state)


def _choose_device(name: str | None) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("no GPU that this build of torch can use was found; leave --device out to train on the CPU")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _prepare_data(recipe: Recipe, root: Path) -> _Data:
    folder = find_scans(root, TRAINING)
    testing = find_scans(root, TESTING, folder.classes) if (root / TESTING).exists() else None
    manifest = check_scans(folder)
    if testing is not None:
        check_scans(testing)
    training, validation = carve_validation(folder.scans, manifest.scans, recipe.validation_fraction, recipe.seed)
    logger.info("%d scans to train on, %d to validate, of %s", len(training), len(validation), folder.classes)
    return _Data(folder.classes, training, validation, testing, manifest)


def start_from(network: nn.Module, recipe: Recipe, classes: Sequence[str], checkpoint: Path) -> None:
    """Copy the weights of a checkpoint of ours; the classifier's only where the classes are the same.

    Raises:
        CheckpointError: If it cannot be loaded or is of another architecture.
    """
    source = load_checkpoint(checkpoint)
    if source.card.architecture != recipe.architecture:
        raise CheckpointError(
            f"expected weights of {recipe.architecture}; {checkpoint} holds {source.card.architecture}"
        )
    weights = source.network.state_dict()
    if source.card.classes != tuple(classes):
        classifier = _classifier_name(network)
        kept = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(classifier)}
        weights = {**weights, **kept}
    load_weights(network, weights)


def _classifier_name(network: nn.Module) -> str:
    classifier = network.get_classifier()  # type: ignore[operator]  # every network of timm has it
    return next(str(name) for name, module in network.named_modules() if module is classifier)


def _wants_pretrained(recipe: Recipe, options: FitOptions) -> bool:
    return recipe.pretrained and not options.resume and options.initial_weights is None


def _create_network(recipe: Recipe, num_classes: int, *, pretrained: bool) -> nn.Module:
    if pretrained:
        logger.info("getting the ImageNet weights of %s", recipe.architecture)
    try:
        network = create_network(recipe.architecture, num_classes, pretrained=pretrained, dropout=recipe.dropout)
    except ModelError:
        raise
    except Exception as error:  # each hub client and each version raises types of its own
        if not pretrained:
            raise
        raise PretrainedError(
            f"cannot get the ImageNet weights of {recipe.architecture}: let this machine reach the model hub "
            "(or set HF_HOME to a filled cache), or start without them: --recipe efficientnet_b0_scratch"
        ) from error
    find_layer(network, recipe.gradcam_layer)
    return network


def _train(
    trainer: Trainer, recipe: Recipe, options: FitOptions, data: _Data, state: RunState | None, log: RunLog
) -> RunState:
    stage: Stage | None = None
    start, pixels_done = time.monotonic(), 0
    for epoch in range(len(state.history) if state else 0, recipe.num_epochs):
        if stage is not recipe.stage_of(epoch):
            stage = recipe.stage_of(epoch)
            training, validation = _create_datasets(recipe, stage, data)
        result = _run_epoch(trainer, recipe, options, training, validation, epoch)
        if state is None or _is_best(recipe, state, result):
            best_weights, best_epoch = clone_weights(trainer.network), result.epoch
        else:
            best_weights, best_epoch = state.best_weights, state.best_epoch
        history = (*(state.history if state else ()), result)
        state = RunState(trainer.state(), best_weights, best_epoch, history)
        save_state(options.out / STATE_FILE, state, recipe, data.manifest.sha256)
        log.write(result)
        pixels_done += stage.image_size**2
        remaining = sum(recipe.stage_of(later).image_size ** 2 for later in range(epoch + 1, recipe.num_epochs))
        _report(result, recipe, best_epoch == result.epoch, (time.monotonic() - start) * remaining / pixels_done)
    if state is None:
        raise RunError("the recipe has no epochs")
    return state


def _create_datasets(recipe: Recipe, stage: Stage, data: _Data) -> tuple[ScanDataset, ScanDataset]:
    preprocessing = recipe.preprocessing(stage)
    augment = create_augmentation(recipe.augmentation)
    return (
        ScanDataset(data.training, preprocessing, augment, recipe.seed),
        ScanDataset(data.validation, preprocessing),
    )


def _run_epoch(
    trainer: Trainer,
    recipe: Recipe,
    options: FitOptions,
    training: ScanDataset,
    validation: ScanDataset,
    epoch: int,
) -> EpochResult:
    start = time.monotonic()
    torch.manual_seed(derive_seed(recipe.seed, epoch))  # dropout
    loader = create_loader(
        training, recipe.batch_size, epoch, shuffle_seed=recipe.seed, num_workers=options.num_workers
    )
    score = Score(float("nan"), float("nan"))
    size = recipe.stage_of(epoch).image_size
    with tqdm(total=len(loader), desc=f"epoch {epoch + 1}/{recipe.num_epochs} {size} px", disable=None) as bar:
        for score in trainer.train(loader, epoch, len(loader)):
            bar.update()
            bar.set_postfix(loss=f"{score.loss:.4f}", accuracy=f"{score.accuracy:.4f}", refresh=False)
    rate = trainer.learning_rate
    validated = trainer.validate(
        create_loader(validation, 2 * recipe.batch_size, epoch, shuffle_seed=None, num_workers=options.num_workers)
    )
    trainer.end_epoch(validated.loss)
    seconds = round(time.monotonic() - start, 3)
    return EpochResult(epoch + 1, size, rate, score.loss, score.accuracy, validated.loss, validated.accuracy, seconds)


def _is_best(recipe: Recipe, state: RunState, result: EpochResult) -> bool:
    """Tell whether an epoch is the best of its stage: losses at another image size do not compare."""
    best = state.history[state.best_epoch - 1]
    new_stage = recipe.stage_of(best.epoch - 1) is not recipe.stage_of(result.epoch - 1)
    return new_stage or result.validation_loss < best.validation_loss


def _report(result: EpochResult, recipe: Recipe, improved: bool, remaining_seconds: float) -> None:
    logger.info(
        "epoch %d/%d (%d px, rate %.2e): training loss %.4f accuracy %.4f, validation loss %.4f accuracy %.4f%s; "
        "%.0f s, about %.0f min to go",
        result.epoch,
        recipe.num_epochs,
        result.image_size,
        result.learning_rate,
        result.train_loss,
        result.train_accuracy,
        result.validation_loss,
        result.validation_accuracy,
        " (best)" if improved else "",
        result.seconds,
        remaining_seconds / 60,
    )


def _release(recipe: Recipe, options: FitOptions, data: _Data, state: RunState) -> RunReport:
    network = create_network(recipe.architecture, len(data.classes), dropout=recipe.dropout)
    load_weights(network, state.best_weights)
    contents = Release(
        recipe=recipe,
        classes=data.classes,
        version=options.version,
        initial_weights=hash_file(options.initial_weights) if options.initial_weights else None,
        state=state,
        manifest=data.manifest,
        testing=data.testing,
    )
    report = release(network, contents, options.out)
    text = json.dumps(report.summary, indent=2)
    (options.out / "summary.json").write_text(text + "\n", encoding="utf-8")
    return report
