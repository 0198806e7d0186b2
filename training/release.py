"""What a finished run hands over: the checkpoint, its ONNX file, and what is known about them."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.card import ModelCard, SplitMetrics
from model.checkpoint import save_checkpoint
from model.classifier import Classifier
from model.export import export_onnx
from model.preprocessing import FloatArray, self_test_inputs
from training.judged import labels_of, predict_scans
from training.metrics import measure
from training.recipe import Recipe
from training.run_state import RunState
from training.scans import Manifest, ScanFolder


@dataclass(frozen=True)
class RunReport:
    """The files of a finished run, and its summary as plain types."""

    checkpoint: Path
    exported: Path
    summary: dict[str, Any]


@dataclass(frozen=True)
class Release:
    """What a finished run knows about the weights it hands over.

    Attributes:
        initial_weights: SHA-256 of the checkpoint the run started from, if any.
        testing: The scans to report on, if there are any.
    """

    recipe: Recipe
    classes: Sequence[str]
    version: str
    initial_weights: str | None
    state: RunState
    manifest: Manifest
    testing: ScanFolder | None


def release(network: nn.Module, contents: Release, out: Path) -> RunReport:
    """Write `NAME.pth` and `NAME.onnx`, load both as the service would, and sum the run up.

    Raises:
        CheckpointError: If the exported file does not agree with the checkpoint.
    """
    network = network.cpu().eval()
    recipe = contents.recipe
    card = _write_card(network, contents)
    checkpoint, exported = out / f"{recipe.name}.pth", out / f"{recipe.name}.onnx"
    sha256 = save_checkpoint(checkpoint, network.state_dict(), card)
    export_onnx(checkpoint, exported)
    for path in (checkpoint, exported):
        Classifier.load(path)
    summary = {
        "checkpoint": checkpoint.name,
        "sha256": sha256,
        "classes": list(card.classes),
        "metrics": {name: metrics.model_dump(mode="json") for name, metrics in card.metrics.items()},
        "training": card.training,
        "history": [asdict(result) for result in contents.state.history],
    }
    return RunReport(checkpoint, exported, summary)


def _write_card(network: nn.Module, contents: Release) -> ModelCard:
    recipe, testing = contents.recipe, contents.testing
    return ModelCard(
        name=recipe.architecture,
        version=contents.version,
        architecture=recipe.architecture,
        classes=tuple(contents.classes),
        preprocessing=recipe.preprocessing(),
        gradcam_layer=recipe.gradcam_layer,
        self_test_logits=_self_test_logits(network, recipe),
        metrics={} if testing is None else {"official_test": _test(network, recipe, testing)},
        training=_describe_training(contents),
    )


def _describe_training(contents: Release) -> dict[str, Any]:
    history, best_epoch = contents.state.history, contents.state.best_epoch
    best = history[best_epoch - 1]
    return {
        "recipe": contents.recipe.model_dump(mode="json"),
        "initial_weights_sha256": contents.initial_weights,
        "best_epoch": best.epoch,
        "validation_loss": best.validation_loss,
        "validation_accuracy": best.validation_accuracy,
        "seconds": round(sum(result.seconds for result in history)),
        "num_scans": len(contents.manifest.scans),
        "manifest_sha256": contents.manifest.sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "timm", "pillow", "numpy")},
    }


def _self_test_logits(network: nn.Module, recipe: Recipe) -> tuple[float, ...]:
    return tuple(_predict(network, self_test_inputs(recipe.preprocessing()))[0].tolist())


def _test(network: nn.Module, recipe: Recipe, testing: ScanFolder) -> SplitMetrics:
    probabilities = predict_scans(lambda inputs: _predict(network, inputs), testing.scans, recipe.preprocessing())
    return measure(labels_of(testing.scans), probabilities, testing.classes)


def _predict(network: nn.Module, inputs: FloatArray) -> FloatArray:
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).numpy()  # type: ignore[no-any-return]
