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
from model.preprocessing import FloatArray, normalize_image, self_test_image
from training.evaluation import labels_of, predict_scans
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


def release(
    network: nn.Module,
    recipe: Recipe,
    classes: Sequence[str],
    out: Path,
    version: str,
    state: RunState,
    manifest: Manifest,
    testing: ScanFolder | None,
) -> RunReport:
    """Write `NAME.pth` and `NAME.onnx`, load both as the service would, and sum the run up.

    Raises:
        CheckpointError: If the exported file does not agree with the checkpoint.
    """
    network = network.cpu().eval()
    best = state.history[state.best_epoch - 1]
    training = {
        "recipe": recipe.model_dump(mode="json"),
        "best_epoch": best.epoch,
        "validation_loss": best.validation_loss,
        "validation_accuracy": best.validation_accuracy,
        "seconds": round(sum(result.seconds for result in state.history)),
        "num_scans": len(manifest.scans),
        "manifest_sha256": manifest.sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "timm", "pillow", "numpy")},
    }
    card = ModelCard(
        name=recipe.architecture,
        version=version,
        architecture=recipe.architecture,
        classes=tuple(classes),
        preprocessing=recipe.preprocessing(),
        gradcam_layer=recipe.gradcam_layer,
        self_test_logits=_self_test_logits(network, recipe),
        metrics={} if testing is None else {"official_test": _test(network, recipe, testing)},
        training=training,
    )
    checkpoint, exported = out / f"{recipe.name}.pth", out / f"{recipe.name}.onnx"
    sha256 = save_checkpoint(checkpoint, network.state_dict(), card)
    export_onnx(checkpoint, exported)
    for path in (checkpoint, exported):
        Classifier.load(path)
    summary = {
        "checkpoint": checkpoint.name,
        "sha256": sha256,
        "classes": list(classes),
        "metrics": {name: metrics.model_dump(mode="json") for name, metrics in card.metrics.items()},
        "training": training,
        "history": [asdict(result) for result in state.history],
    }
    return RunReport(checkpoint, exported, summary)


def _self_test_logits(network: nn.Module, recipe: Recipe) -> tuple[float, ...]:
    preprocessing = recipe.preprocessing()
    inputs = normalize_image(self_test_image(preprocessing.input_size), preprocessing)[None]
    return tuple(_predict(network, inputs)[0].tolist())


def _test(network: nn.Module, recipe: Recipe, testing: ScanFolder) -> SplitMetrics:
    probabilities = predict_scans(lambda inputs: _predict(network, inputs), testing.scans, recipe.preprocessing())
    return measure(labels_of(testing.scans), probabilities, testing.classes)


def _predict(network: nn.Module, inputs: FloatArray) -> FloatArray:
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).numpy()  # type: ignore[no-any-return]
