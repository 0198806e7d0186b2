"""The weight files of a network: exported, calibrated, measured and tried, and only then under their names.

network, card -> NAME.draft.pth -> NAME.draft.onnx -> outputs on scans -> calibration, metrics -> NAME.pth, NAME.onnx
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from model.card import ModelCard, Shortfall
from model.checkpoints.checkpoint import save_checkpoint
from model.classifier import Classifier
from model.engines.engine import Engine
from model.engines.loading import load_engine
from model.export import export_onnx, update_card
from model.preprocessing import self_test_inputs
from model.reliability.probabilities import softmax
from training.calibration.calibration import fit_detector, fit_probabilities
from training.calibration.review_thresholds import count_shifted, fit_review
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.metrics.classified import SplitOutputs, classify_splits
from training.metrics.metrics import find_healthy_class, measure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationScans:
    """Scans by what is learnt from them.

    Attributes:
        familiar: Such as those trained on; the outlier detector learns them.
        unseen: Not trained on; they decide where outliers begin and what goes to review.
        calibration: Nor used to choose the weights; they set temperature and prediction sets.
        tests: Measured, and used for nothing else.
    """

    familiar: Sequence[Scan]
    unseen: Sequence[Scan]
    calibration: Sequence[Scan]
    tests: Sequence[TestSplit]

    def count(self) -> int:
        """Count the scans; one in several parts counts once."""
        parts = (self.familiar, self.unseen, self.calibration, *(test.scans for test in self.tests))
        return len({scan.path for part in parts for scan in part})


@dataclass(frozen=True)
class WeightFiles:
    """The two files of the same weights, their card, the hash of the `.pth`, and the outputs for the tests."""

    checkpoint: Path
    exported: Path
    card: ModelCard
    sha256: str
    tests: tuple[SplitOutputs, ...]


def write_weights(
    network: nn.Module,
    card: ModelCard,
    scans: CalibrationScans,
    folder: Path,
    name: str,
    *,
    served: bool = True,
    check: Callable[[SplitOutputs], None] = lambda _: None,
) -> WeightFiles:
    """Write `NAME.pth` and `NAME.onnx`, calibrated as far as the scans suffice, and loaded as the service would.

    Args:
        check: Looks at the outputs for the calibration scans first; it raises where they cannot be right.
        served: Choose thresholds for review, which takes up to 27,000 shifted scans.

    Raises:
        CheckpointError: If the exported file does not agree with the checkpoint.
    """
    drafts = [folder / f"{name}.draft{suffix}" for suffix in (".pth", ".onnx")]
    checkpoint, exported = (folder / f"{name}{draft.suffix}" for draft in drafts)
    weights = network.cpu().eval().state_dict()
    with torch.inference_mode():
        logits = network(torch.from_numpy(self_test_inputs(card.preprocessing)))[0].tolist()
    card = card.model_copy(update={"self_test_logits": tuple(logits)})
    try:
        logger.info("exporting the network")
        save_checkpoint(drafts[0], weights, card)
        export_onnx(*drafts)
        engine = load_engine(drafts[1])  # on a CPU three times as fast as the network itself
        card, tests = _complete(engine, card, scans, check, served=served)
        logger.info("comparing both files")
        sha256 = save_checkpoint(drafts[0], weights, card)
        update_card(*drafts)
        for draft in drafts:
            Classifier.load(draft)
        for draft, path in zip(drafts, (checkpoint, exported), strict=True):
            os.replace(draft, path)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    for gap in card.list_gaps():
        logger.warning("the weights lack %s", gap)
    return WeightFiles(checkpoint, exported, card, sha256, tests)


def count_predictions(scans: CalibrationScans, classes: Sequence[str], *, served: bool) -> int:
    """Count the images that `write_weights` classifies, on which most of its time goes."""
    return scans.count() + (count_shifted(scans.unseen, find_healthy_class(classes)) if served else 0)


def _complete(
    engine: Engine, card: ModelCard, scans: CalibrationScans, check: Callable[[SplitOutputs], None], *, served: bool
) -> tuple[ModelCard, tuple[SplitOutputs, ...]]:
    parts = (("familiar", scans.familiar), ("unseen", scans.unseen), ("calibration", scans.calibration))
    splits = [TestSplit(name, tuple(members)) for name, members in parts]
    logger.info("calibrating and testing: %d scans", scans.count())
    familiar, unseen, calibration, *outputs = classify_splits(engine, [*splits, *scans.tests])
    check(calibration)
    card = fit_detector(fit_probabilities(card, calibration), familiar, [unseen])
    if served and scans.unseen:
        logger.info("choosing what goes to review: scans as other hospitals might deliver them")
        card = card.model_copy(update={"review": fit_review(engine, card, scans.unseen)})
    elif served and card.review and card.review.healthy_class:
        shortfall = {"review": Shortfall(found=0, needed=1)}
        card = card.model_copy(update={"shortfalls": {**card.shortfalls, **shortfall}})
    tests = tuple(replace(test, probabilities=softmax(test.logits, card.temperature)) for test in outputs)
    metrics = {test.name: measure(test.labels, test.probabilities, card.classes, test.groups) for test in tests}
    return card.model_copy(update={"metrics": metrics}), tests
