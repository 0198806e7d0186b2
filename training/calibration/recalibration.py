"""Calibrated weight files of a checkpoint that was trained before, here or with timm elsewhere.

checkpoint -> network, card without calibration --+
                                                  +-> training.calibration.weight_files
scans -> familiar, unseen, calibration, test -----+
"""

import importlib.metadata
import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import nn
from tyro.conf import Positional

from model.card import ModelCard, Triple, parse_card
from model.checkpoints.checkpoint import FORMAT, load_checkpoint, load_weights
from model.checkpoints.file_hash import hash_file
from model.errors import CheckpointError
from model.networks.network import create_network, find_classifier, find_layer
from model.networks.torchvision_operators import import_torchvision
from training.calibration.weight_files import CalibrationScans, WeightFiles, write_weights
from training.data.carving import carve
from training.data.class_map import ClassMapping, map_classes
from training.data.groups import load_groups
from training.data.scans import ScanFolder, check_scans
from training.data.splits import DataSplits, TestSplit, split_data
from training.errors import DataError, RunError
from training.foreign_weights import ForeignWeights, read_foreign_weights, select_weights
from training.metrics.classified import SplitOutputs
from training.metrics.metrics import confusion_matrix
from training.run import RUNS

logger = logging.getLogger(__name__)

_ARCHITECTURE = "efficientnet_b0"
_GRADCAM_LAYER = "blocks.-1.-1.conv_pw"  # of EfficientNets; other networks name their last features
_FRACTIONS = {"calibration": 0.5, "test": 0.5}  # of what lies beside Training/
_MOST = 0.6  # no order of the classes explains so many outputs of a network that knows nothing
_ABOUT_FOREIGN = ("architecture", "classes", "image_size", "mean", "std", "color", "gradcam_layer")


@dataclass(frozen=True)
class RecalibrationOptions:
    """A checkpoint, scans, and what weights from elsewhere do not say themselves.

    Attributes:
        checkpoint: Of this project; or weights trained with timm, a state dict or what its train script writes.
        data: Folder of scans. Those in `Training/CLASS/`, or in the training part of a table, count as trained on; all
            others, in a folder `CLASS/` without splits all of them, as never seen.
        out: Folder for the weights.
        groups: Table with the columns path, group and, perhaps, split, as for `fit`.
        version: Goes into the card; by default the checkpoint's own, else 1.0.0.
        architecture: Of foreign weights, timm's name; by default that in the file, else efficientnet_b0.
        classes: Of foreign weights, in the order of the outputs; by default the folders' names, in theirs.
        image_size: Of foreign weights' inputs, pixels; by default that in the file, else timm's.
        mean: Of foreign weights' channels, of values in [0, 1]; by default as image_size.
        std: Likewise.
        color: What foreign weights saw of the colours; by default rgb.
        gradcam_layer: The layer of foreign weights that heat maps explain; by default the last with maps.
    """

    checkpoint: Positional[Path]
    data: Positional[Path]
    out: Path = RUNS / "calibrated"
    groups: Path | None = None
    version: str | None = None
    architecture: str | None = None
    classes: tuple[str, ...] | None = None
    image_size: int | None = None
    mean: Triple | None = None
    std: Triple | None = None
    color: Literal["grey", "rgb"] | None = None
    gradcam_layer: str | None = None


def recalibrate(options: RecalibrationOptions) -> WeightFiles:
    """Write weights again with temperature, prediction sets, outlier detector, thresholds for review and metrics.

    Raises:
        CheckpointError: If the weights cannot be loaded, or do not fit what is said about them.
        DataError: If the scans are not as expected, or the outputs fit their classes in another order.
        OSError: If the folder cannot be made.
        RunError: If a file is missing.
    """
    for path in (options.checkpoint, options.groups):
        if path is not None and not path.is_file():
            raise RunError(f"there is no file {path}")
    options.out.mkdir(parents=True, exist_ok=True)
    weights = read_foreign_weights(options.checkpoint)
    splits = split_data(options.data, None, options.groups, seed=0)
    if weights.format == FORMAT:
        network, card = _load_ours(options)
        name = options.checkpoint.stem
    else:
        network, card = _create_foreign(weights, options, splits.classes)
        name = card.architecture
    splits = _relabel(splits, card)
    scans = _choose_scans(splits, options)
    changes = {"version": options.version or card.version, "training": _describe(card, options, splits.classes, scans)}
    card = parse_card({**card.model_dump(mode="json"), **changes})
    return write_weights(network, card, scans, options.out, name, check=_check_order(card.classes))


def _load_ours(options: RecalibrationOptions) -> tuple[nn.Module, ModelCard]:
    given = [name for name in _ABOUT_FOREIGN if getattr(options, name) is not None]
    if given:
        raise RunError(f"--{given[0].replace('_', '-')}: the card of {options.checkpoint} says that itself")
    checkpoint = load_checkpoint(options.checkpoint)
    return checkpoint.network, checkpoint.card


def _create_foreign(
    weights: ForeignWeights, options: RecalibrationOptions, folders: Sequence[str]
) -> tuple[nn.Module, ModelCard]:
    """Load weights into a network of timm's, and write a card of what is known about them."""
    import_torchvision()
    from timm.data.config import resolve_data_config

    architecture = options.architecture or weights.architecture or _ARCHITECTURE
    classes = options.classes or tuple(folders)
    network = create_network(architecture, len(classes))
    outputs = weights.tensors.get(f"{find_classifier(network)}.weight")
    if outputs is not None and len(outputs) != len(classes):
        raise CheckpointError(
            f"{weights.path} has {len(outputs)} outputs: expected one for each of the classes {', '.join(classes)}; "
            "name those it has, in their order, with --classes"
        )
    load_weights(network, select_weights(network, weights))
    known = resolve_data_config(weights.options, model=network)  # type: ignore[no-untyped-call]
    card = {
        "name": architecture,
        "version": "1.0.0",
        "architecture": architecture,
        "classes": classes,
        "preprocessing": {
            "input_size": options.image_size or known["input_size"][-1],
            "color": options.color or "rgb",
            "mean": options.mean or known["mean"],
            "std": options.std or known["std"],
        },
        "gradcam_layer": options.gradcam_layer or _find_map_layer(network),
        "self_test_logits": [0.0] * len(classes),
    }
    logger.info("taken for %s of the classes %s, with %s", architecture, ", ".join(classes), card["preprocessing"])
    return network, parse_card(card)


def _find_map_layer(network: nn.Module) -> str:
    try:
        find_layer(network, _GRADCAM_LAYER)
        return _GRADCAM_LAYER
    except CheckpointError:
        if stages := getattr(network, "feature_info", None):
            return str(stages[-1]["module"])
        raise CheckpointError("name a layer of the network that yields maps with --gradcam-layer") from None


def _relabel(splits: DataSplits, card: ModelCard) -> DataSplits:
    """Replace the labels of the folders by those of the card's classes.

    Raises:
        DataError: If there are other folders than classes.
    """
    if card.class_map:
        mapping = map_classes(splits.classes, card.class_map, card.classes)
    elif set(splits.classes) == set(card.classes):
        mapping = ClassMapping(card.classes, {}, tuple(map(card.classes.index, splits.classes)))
    else:
        raise DataError(
            f"expected a folder for each of the classes {', '.join(card.classes)}; found {', '.join(splits.classes)}"
        )
    return splits.relabel(mapping)


def _choose_scans(splits: DataSplits, options: RecalibrationOptions) -> CalibrationScans:
    """Choose what is learnt from which scans; only what was not trained on counts as unseen.

    Raises:
        DataError: If no scan does.
    """
    unseen = (*splits.validation, *splits.calibration)
    if splits.name != "official":
        fixed = options.groups and any(row.split for row in load_groups(options.groups, options.data).values())
        calibration = unseen if fixed else (*splits.train, *unseen)
        return CalibrationScans(splits.train, unseen, calibration, splits.tests)
    free = next((test for test in splits.tests if test.name == "copy_free_test"), None)
    if free is None:
        raise DataError(
            f"nothing to calibrate on in {options.data}: expected Testing/CLASS/ with scans that have no copy in "
            "Training/, or a folder CLASS/ without splits, of scans that were not trained on"
        )
    parts = carve(free.scans, _FRACTIONS, seed=0)
    tests = [TestSplit(free.name, parts["test"])]
    return CalibrationScans((*splits.train, *unseen), parts["calibration"], parts["calibration"], tests)


def _describe(
    card: ModelCard, options: RecalibrationOptions, classes: tuple[str, ...], scans: CalibrationScans
) -> dict[str, Any]:
    """Check and hash all scans, and add to the history in the card where the calibration is from."""
    tests = [scan for test in scans.tests for scan in test.scans]
    used = tuple(dict.fromkeys((*scans.familiar, *scans.calibration, *tests)))
    counts = {"familiar": len(scans.familiar), "calibration": len(scans.calibration), "test": len(tests)}
    logger.info("%s scans", ", ".join(f"{count} {part}" for part, count in counts.items()))
    calibration = {
        "checkpoint": {"file": options.checkpoint.name, "sha256": hash_file(options.checkpoint)},
        "num_scans": counts,
        "manifest_sha256": check_scans(ScanFolder(options.data, classes, used)).sha256,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "timm", "pillow", "numpy")},
    }
    return {**card.training, "calibration": calibration}


def _check_order(classes: Sequence[str]) -> Callable[[SplitOutputs], None]:
    """Check that no other order of the classes explains most of the outputs, and more than twice as many as this one.

    The check raises `DataError`, with the order that does.
    """

    def check(outputs: SplitOutputs) -> None:
        counts = confusion_matrix(outputs.labels, outputs.probabilities)
        rows, columns = linear_sum_assignment(counts, maximize=True)
        num_explained = counts[rows, columns].sum()
        if num_explained > max(2 * counts.trace(), _MOST * counts.sum()):
            order = shlex.join(classes[row] for row in np.argsort(columns))
            raise DataError(
                f"the outputs fit {num_explained} of {counts.sum()} scans in another order of the "
                f"classes, in this one {counts.trace()}: --classes {order}"
            )

    return check
