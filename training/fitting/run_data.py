"""The scans of a run: found, divided, and each decoded once before the first epoch."""

import logging
from dataclasses import dataclass
from pathlib import Path

from training.data.boxes import Box, load_boxes
from training.data.scans import Manifest, ScanFolder, check_scans
from training.data.splits import DataSplits, Fold, SplitName, split_data
from training.errors import DataError, RecipeError
from training.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """Checked and split scans; `fold` is the part tested on, where the run is one of several in a cross-validation."""

    splits: DataSplits
    boxes: dict[Path, Box]
    manifest: Manifest
    fold: Fold | None


def prepare_data(
    recipe: Recipe, root: Path, split: SplitName | None, fold: Fold | None, groups: Path | None, boxes: Path | None
) -> RunData:
    """Divide the scans in `root`, and check that all of them can be used.

    Raises:
        DataError: If the folder or a table is not as expected, or a scan cannot be decoded.
        RecipeError: If the recipe needs boxes, and there is no table of them.
    """
    splits = split_data(root, split, groups, recipe.seed, fold, recipe.class_map)
    if recipe.learn_validation:
        splits = splits.learn_validation()
    used = (*splits.train, *splits.validation, *splits.calibration)
    manifest = check_scans(ScanFolder(root, splits.classes, used))
    for test in splits.tests:
        check_scans(ScanFolder(root, splits.classes, test.scans))
    found = {root / name: box for name, box in load_boxes(boxes, root).items()} if boxes else {}
    if recipe.location_weight and boxes is None:
        raise RecipeError("location_weight needs a table of boxes: name one with --boxes, or set it to 0")
    if boxes is not None:
        num_boxes = sum(scan.path in found for scan in splits.train)
        logger.info("%s: boxes of %d of the scans to train on", boxes, num_boxes)
        if recipe.location_weight and not num_boxes:
            raise DataError(f"{boxes}: no box is of a scan to train on, so location_weight would learn nothing")
    logger.info(
        "%d scans to train on, %d to validate, %d to calibrate, of %s",
        *map(len, (splits.train, splits.validation, splits.calibration)),
        splits.classes,
    )
    return RunData(splits, found, manifest, fold)
