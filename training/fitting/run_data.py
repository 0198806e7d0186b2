"""The scans of a run: found, divided, and each decoded once before the first epoch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.data.boxes import Box, load_boxes
from training.data.carving import Fold
from training.data.coarse import LEARNT_PARTS, CoarseScan, LearntPart, describe_coarse, load_coarse
from training.data.scans import Manifest, Scan, ScanFolder, check_scans
from training.data.splits import DataSplits, SplitName, split_data
from training.errors import DataError, RecipeError
from training.metrics.metrics import find_healthy_class
from training.recipe import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """Checked and split scans.

    Attributes:
        coarse: Scans of which less is known, of all parts.
        boxes: Of the lesions, where they are known.
        fold: The part tested on, where the run is one of several in a cross-validation.
    """

    splits: DataSplits
    coarse: tuple[CoarseScan, ...]
    boxes: dict[Path, Box]
    manifest: Manifest
    fold: Fold | None

    def part(self, name: LearntPart) -> tuple[Scan, ...]:
        """Collect the scans of a part, those of which less is known last."""
        whole: tuple[Scan, ...] = getattr(self.splits, name)
        return (*whole, *(scan for scan in self.coarse if scan.split == name))

    def describe(self) -> dict[str, Any]:
        """Describe the data as plain types; two runs learn from the same scans where all of it is equal."""
        return {
            "split": self.splits.name,
            "fold": self.fold and asdict(self.fold),
            "scans": {part: len(self.part(part)) for part in LEARNT_PARTS},
            "manifest_sha256": self.manifest.sha256,
        }


def prepare_data(
    recipe: Recipe,
    root: Path,
    split: SplitName | None,
    fold: Fold | None,
    groups: Path | None,
    boxes: Path | None,
    coarse: Path | None = None,
) -> RunData:
    """Divide the scans in `root`, and check that all of them can be used.

    Raises:
        DataError: If the folder or a table is not as expected, or a scan cannot be decoded.
        RecipeError: If the recipe needs boxes, and there is no table of them.
    """
    splits = split_data(root, split, groups, recipe.seed, fold, recipe.class_map)
    classes = splits.classes
    others = load_coarse(coarse, classes, find_healthy_class(classes)) if coarse else ()
    if recipe.learn_validation:
        splits = splits.learn_validation()
    used = (*splits.train, *splits.validation, *splits.calibration)
    manifest = check_scans(ScanFolder(root, classes, used))
    if coarse:
        manifest = manifest.join(check_scans(ScanFolder(coarse.parent, classes, others)))
    tested = {test.name: check_scans(ScanFolder(root, classes, test.scans)).scans for test in splits.tests}
    _check_apart(dict(zip(manifest.scans, (*used, *others), strict=True)), tested)
    found = {root / name: box for name, box in load_boxes(boxes, root).items()} if boxes else {}
    if recipe.location_weight and boxes is None:
        raise RecipeError("location_weight needs a table of boxes: name one with --boxes, or set it to 0")
    if boxes is not None:
        num_boxes = sum(scan.path in found for scan in splits.train)
        logger.info("%s: boxes of %d of the scans to train on", boxes, num_boxes)
        if recipe.location_weight and not num_boxes:
            raise DataError(f"{boxes}: no box is of a scan to train on, so location_weight would learn nothing")
    found |= {scan.path: scan.box for scan in others if scan.box is not None}
    _check_kinds(recipe, classes, others)
    if others:
        logger.info("and of scans of which less is known: %s", describe_coarse(others))
    logger.info(
        "%d scans to train on, %d to validate, %d to calibrate, of %s",
        *map(len, (splits.train, splits.validation, splits.calibration)),
        splits.classes,
    )
    return RunData(splits, others, found, manifest, fold)


def _check_apart(learnt: Mapping[str, Scan], tested: Mapping[str, Sequence[str]]) -> None:
    """Refuse scans from elsewhere that are tested on, and mention those that a table of groups has on both sides.

    Args:
        learnt: By their SHA-256.
        tested: The SHA-256 of each split's scans. Of the official test it is known; see `copy_free_test`.
    """
    for name, hashes in tested.items():
        copies = [learnt[sha256] for sha256 in hashes if sha256 in learnt]
        elsewhere = [scan.path for scan in copies if isinstance(scan, CoarseScan)]
        if elsewhere:
            raise DataError(f"{elsewhere[0]} is to be learnt from, and is a scan of the {name} ({len(elsewhere)} are)")
        if copies and name == "grouped_test":
            logger.warning("%d scans of the %s are trained on too, such as %s", len(copies), name, copies[0].path)


def _check_kinds(recipe: Recipe, classes: Sequence[str], coarse: Sequence[CoarseScan]) -> None:
    """Check that the recipe's kinds are of its classes, and that there are scans to tell them apart by.

    Raises:
        RecipeError: If not.
    """
    unknown = sorted(set(recipe.class_kinds) - set(classes))
    if unknown:
        raise RecipeError(f"recipe value class_kinds: expected classes out of {', '.join(classes)}; found {unknown[0]}")
    if recipe.kind_weight and not coarse:
        raise RecipeError("kind_weight needs scans of several kinds: name a table with --coarse, or set it to 0")
