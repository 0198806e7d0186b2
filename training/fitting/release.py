"""The checkpoint of a finished run, its ONNX file and its summary."""

import copy
import importlib.metadata
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from model.card import ModelCard
from model.checkpoints.checkpoint import load_checkpoint
from model.host.atomic_file import write_file
from training.calibration.weight_files import CalibrationScans, count_predictions, write_weights
from training.data.coarse import LEARNT_PARTS
from training.errors import RunError
from training.evaluation.figures import write_figures
from training.fitting.learning_curves import draw_learning_curves
from training.fitting.run_data import RunData
from training.fitting.run_state import RunState
from training.recipe import Recipe
from training.run import CURVES_FILE, FIGURES_FOLDER, RunReport

_NUM_TRIED = 4
_SUMMARY_FILE = "summary.json"
_HISTORY = (  # fields of a card that the cards of later weights repeat
    "recipe",
    "split",
    "sources",
    "initial_weights",
    "teachers",
    "num_scans",
    "validation_accuracy",
    "manifest_sha256",
)


@dataclass(frozen=True)
class Release:
    """Everything about the weights that a finished run hands over.

    Attributes:
        split: How the data were divided.
        origins: See `describe_origins`.
    """

    recipe: Recipe
    version: str
    split: str
    state: RunState
    data: RunData
    origins: Mapping[str, Any]


def describe_origins(recipe: Recipe, initial_weights: Path | None) -> dict[str, Any]:
    """Describe, for the card, the checkpoints of ours that weights start and learn from, while they are there."""
    return {
        "initial_weights": initial_weights and _describe_forerunner(initial_weights),
        "teachers": [_describe_forerunner(Path(path)) for path in recipe.teacher],
    }


def check_card(
    recipe: Recipe,
    version: str,
    classes: Sequence[str] = ("0", "1"),
    class_map: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check before the first epoch that the weights can have a card; without `classes`, all but those.

    Raises:
        RunError: If a value cannot be in it.
    """
    try:
        _create_card(recipe, version, classes, class_map)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "classes"
        raise RunError(f"the card of the weights cannot hold {field} {first['input']!r}: {first['msg']}") from error


def release(network: nn.Module, contents: Release, out: Path) -> None:
    """Write `NAME.pth` and `NAME.onnx`, calibrated and measured, load both as the service would, sum up and draw.

    Raises:
        CheckpointError: If the exported file does not agree with the checkpoint.
    """
    splits = contents.data.splits
    card = _create_card(contents.recipe, contents.version, splits.classes, splits.class_map)
    card = card.model_copy(update={"training": _describe_training(contents)})
    scans, served = _collect_scans(contents.recipe, contents.data)
    written = write_weights(network, card, scans, out, contents.recipe.name, served=served)
    for test in written.tests:
        write_figures(test, card.classes, out / FIGURES_FOLDER)
    draw_learning_curves(contents.state.history, contents.state.best_epoch, out / CURVES_FILE)
    summary = {
        "checkpoint": written.checkpoint.name,
        "sha256": written.sha256,
        "classes": list(card.classes),
        "metrics": {name: metrics.model_dump(mode="json") for name, metrics in written.card.metrics.items()},
        "training": card.training,
        "history": [asdict(result) for result in contents.state.history],
        "learning_curves": CURVES_FILE,
    }
    write_file(out / _SUMMARY_FILE, (json.dumps(summary, indent=2) + "\n").encode())


def estimate_seconds(network: nn.Module, recipe: Recipe, data: RunData) -> float:
    """Estimate how long a release takes, from the network's own time for a few blank images on the CPU."""
    scans, served = _collect_scans(recipe, data)
    trial, size = copy.deepcopy(network).cpu().eval(), recipe.preprocessing().input_size
    inputs = torch.zeros(_NUM_TRIED, 3, size, size)
    with torch.inference_mode():
        trial(inputs)
        start = time.monotonic()
        trial(inputs)
    seconds = (time.monotonic() - start) / _NUM_TRIED
    return seconds * count_predictions(scans, data.splits.classes, served=served)


def _collect_scans(recipe: Recipe, data: RunData) -> tuple[CalibrationScans, bool]:
    """Collect what is calibrated and tested on; a fold's network is measured alone, not served."""
    splits = data.splits
    unseen = (*splits.validation, *splits.calibration)
    coarse = data.coarse if recipe.kind_weight else ()
    scans = CalibrationScans(
        splits.train, unseen, splits.calibration, splits.tests, coarse, class_kinds=recipe.class_kinds
    )
    return scans, data.fold is None


def read_report(out: Path, name: str) -> RunReport:
    """Read what `release` wrote for a recipe called `name`."""
    summary = json.loads((out / _SUMMARY_FILE).read_text(encoding="utf-8"))
    pictures = sorted((out / FIGURES_FOLDER).glob("*/*.png"))
    figures = {f"{picture.parent.name}/{picture.stem}": picture for picture in pictures}
    return RunReport(out / f"{name}.pth", out / f"{name}.onnx", summary, figures)


def _create_card(recipe: Recipe, version: str, classes: Sequence[str], class_map: Mapping[str, str]) -> ModelCard:
    return ModelCard(
        name=recipe.architecture,
        version=version,
        architecture=recipe.architecture,
        head=recipe.head,
        classes=tuple(classes),
        class_map=dict(class_map),
        preprocessing=recipe.preprocessing(),
        gradcam_layer=recipe.gradcam_layer,
        self_test_logits=(0.0,) * len(classes),  # `write_weights` computes them
    )


def _describe_training(contents: Release) -> dict[str, Any]:
    state, data = contents.state, contents.data
    best = state.history[state.best_epoch - 1]
    return {
        "recipe": contents.recipe.model_dump(mode="json"),
        "split": contents.split,
        "fold": data.fold and asdict(data.fold),
        "sources": state.sources,
        **contents.origins,
        "epochs": len(state.history),
        "best_epoch": best.epoch,
        "validation_loss": best.validation_loss,
        "validation_accuracy": best.validation_accuracy,
        "seconds": round(sum(result.seconds for result in state.history)),
        "num_scans": {part: len(data.part(part)) for part in LEARNT_PARTS},
        "manifest_sha256": data.manifest.sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "timm", "pillow", "numpy")},
    }


def _describe_forerunner(path: Path) -> dict[str, Any]:
    """Describe a checkpoint and how it came about, from its own card."""
    forerunner = load_checkpoint(path)
    card = forerunner.card
    return {
        "file": path.name,
        "sha256": forerunner.sha256,
        "architecture": card.architecture,
        "version": card.version,
        "training": {key: card.training[key] for key in _HISTORY if key in card.training},
    }
