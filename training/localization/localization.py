"""Heat maps measured against the boxes that experts drew."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import TypeAdapter
from tyro.conf import Positional

from model.checkpoints.checkpoint import Checkpoint, load_checkpoint
from model.errors import CheckpointError
from model.networks.network import find_layer
from training.errors import DataError
from training.localization.box_examples import Example, draw_examples
from training.localization.box_findings import read_batches, score_baselines, score_maps
from training.localization.box_scores import BoxScore, average_findings
from training.localization.boxed_scans import BoxedScan, draw_scans, find_boxed_scans
from training.localization.class_maps import Method
from training.localization.weight_randomization import RandomizedStep, randomize_cascading
from training.run import SHIPPED_CHECKPOINT

DEFAULT_LAYERS = ("blocks.-1.-1.conv_pw", "bn2", "blocks.4")  # of timm's EfficientNets, at 1/32, 1/32 and 1/16
_NUM_RANDOMIZED = 10  # scans of each class in the sanity check, which sees them once for each module


@dataclass(frozen=True)
class LocalizationOptions:
    """A checkpoint and the boxes to compare its maps with.

    Attributes:
        data: Folder that the paths in the tables are relative to.
        boxes: Table with the columns path, x0, y0, x1, y1.
        checkpoint: `.pth`.
        groups: Table with the columns path, group and, perhaps, split.
        part: Of the split in `groups`; by default validation where there is a split, else all.
        layers: Paths of the modules to compare; by default those of EfficientNets, and the card's.
        num_scans: At most this many of a class, drawn by `seed`.
    """

    data: Positional[Path]
    boxes: Path
    checkpoint: Path = SHIPPED_CHECKPOINT
    groups: Path | None = None
    part: Literal["validation", "test", "all"] | None = None
    layers: tuple[str, ...] = ()
    num_scans: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.num_scans is not None and self.num_scans < 0:
            raise ValueError("--num-scans: expected 0 or more")


@dataclass(frozen=True)
class MapScores:
    """The scores of a method and its layer, or of a baseline: mean over classes, and by class."""

    method: str
    layer: str | None
    mean: BoxScore
    classes: dict[str, BoxScore]


@dataclass(frozen=True)
class Localization:
    """Scores of heat maps.

    Attributes:
        sha256: Of the checkpoint.
        part: Of the split, or "all".
        images: Number by class; `correct`: those classified correctly.
        rows: The baselines, then every layer by every method.
        selected_layer: Where Grad-CAM has the best pointing game, mean over classes.
        randomization: Similarity of the Grad-CAM maps as weights are randomised.
        examples: Maps of the selected layer.
    """

    sha256: str
    part: str
    groups: int
    images: dict[str, int]
    correct: dict[str, int]
    rows: tuple[MapScores, ...]
    selected_layer: str
    randomization: tuple[RandomizedStep, ...]
    examples: tuple[Example, ...] = ()

    def to_json(self) -> str:
        """Write everything but the pictures as JSON."""
        pictures = {"examples": {"__all__": {"picture"}}}
        return TypeAdapter(Localization).dump_json(self, indent=2, exclude=pictures).decode() + "\n"


def localize(options: LocalizationOptions) -> Localization:
    """Measure a checkpoint's maps of the true class of each scan that has a box.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded or lacks a layer.
        DataError: If a table or an image is not as expected, or no box is left.
    """
    checkpoint = load_checkpoint(options.checkpoint)
    layers, classes = choose_layers(checkpoint, options.layers), checkpoint.card.classes
    found = find_boxed_scans(options.data, options.boxes, options.groups, classes, checkpoint.card.class_map)
    part = options.part or ("validation" if any(boxed.part for boxed in found) else "all")
    measured = draw_scans([boxed for boxed in found if part in ("all", boxed.part)], options.num_scans, options.seed)
    if not measured:
        raise DataError(f"no box to measure in the {part} part: expected a table of groups whose split has one")
    # Where nothing is known to be training data the baseline learns from what it is measured on, which flatters it.
    baselines = score_baselines(measured, [boxed for boxed in found if boxed.part == "train"] or measured)
    correct, maps = score_maps(checkpoint, layers, measured)
    rows = tuple(
        MapScores(method, layer, *average_findings(findings, measured, correct, classes, options.seed))
        for (method, layer), findings in (baselines | maps).items()
    )
    batches = list(read_batches(draw_scans(measured, _NUM_RANDOMIZED, options.seed), checkpoint.card.preprocessing))
    inputs, targets = torch.cat([batch[1] for batch in batches]), torch.cat([batch[2] for batch in batches])
    selected = select_layer(rows)
    return Localization(
        sha256=checkpoint.sha256,
        part=part,
        groups=len({boxed.scan.group for boxed in measured}),
        images=_count_by_class(measured, classes),
        correct=_count_by_class([boxed for boxed, right in zip(measured, correct, strict=True) if right], classes),
        rows=rows,
        selected_layer=selected,
        randomization=randomize_cascading(checkpoint.network, layers, inputs, targets, options.seed),
        examples=draw_examples(checkpoint, selected, measured, maps[Method.GRAD_CAM, selected], correct),
    )


def choose_layers(checkpoint: Checkpoint, layers: Sequence[str]) -> tuple[str, ...]:
    """Check the layers asked for, by default those of `DEFAULT_LAYERS` that the network has, and the card's.

    Raises:
        CheckpointError: If the network lacks one that was asked for.
    """
    if layers:
        for layer in layers:
            find_layer(checkpoint.network, layer)
        return tuple(dict.fromkeys(layers))
    present = []
    for layer in dict.fromkeys((*DEFAULT_LAYERS, checkpoint.card.gradcam_layer)):
        try:
            find_layer(checkpoint.network, layer)
        except CheckpointError:
            continue
        present.append(layer)
    return tuple(present)


def select_layer(rows: Sequence[MapScores]) -> str:
    """Choose the layer where Grad-CAM, which is served, has the best mean pointing game over the classes."""
    scores = {row.layer: row.mean.pointing_game.value for row in rows if row.layer and row.method == Method.GRAD_CAM}
    return max(scores, key=scores.__getitem__)


def _count_by_class(scans: Sequence[BoxedScan], classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(classes[boxed.scan.label] for boxed in scans)
    return {name: counts[name] for name in classes}
