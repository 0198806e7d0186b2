"""The weight files of a network: exported, calibrated, measured and tried, and only then under their names.

network, card -> NAME.draft.pth -> NAME.draft.onnx -> outputs on scans -> calibration, metrics -> NAME.pth, NAME.onnx
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model.card import ModelCard, Shortfall
from model.checkpoints.checkpoint import save_checkpoint
from model.classifier import Classifier
from model.engines.engine import Engine
from model.engines.loading import load_engine
from model.export import export_onnx, update_card
from model.kinds import KINDS, KindName
from model.preprocessing import self_test_inputs
from model.reliability.probabilities import softmax
from training.calibration.calibration import fit_detector, fit_probabilities
from training.calibration.kinds import KindSamples, fit_kinds
from training.calibration.review_thresholds import count_shifted, fit_review
from training.data.coarse import CoarseScan
from training.data.possible_labels import PossibleLabels
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
        coarse: Of which less is known than the class, of all parts. They teach the kind of picture; the MR of heads
            among them are familiar or unseen too.
        class_kinds: The kind of a class's scans; of others, either MR.
    """

    familiar: Sequence[Scan]
    unseen: Sequence[Scan]
    calibration: Sequence[Scan]
    tests: Sequence[TestSplit]
    coarse: Sequence[CoarseScan] = ()
    class_kinds: Mapping[str, KindName] = field(default_factory=dict)

    def count(self) -> int:
        """Count the scans; one in several parts counts once."""
        parts = (self.familiar, self.unseen, self.calibration, self.coarse, *(test.scans for test in self.tests))
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
    """Fit all that the card holds beside the weights, one after the other, and measure the tests."""
    learnt = tuple(scan for scan in scans.coarse if scan.split == "train")
    held_out = tuple(scan for scan in scans.coarse if scan.split != "train")
    parts = {
        "familiar": (*scans.familiar, *filter(_is_head_mr, learnt)),
        "unseen": (*scans.unseen, *filter(_is_head_mr, held_out)),
        "calibration": scans.calibration,
        "coarse calibration": [scan for scan in held_out if scan.split == "calibration" and scan.possible],
        "learnt": (*scans.familiar, *learnt),
        "held out": (*scans.unseen, *held_out),
    }
    splits = [TestSplit(name, tuple(members)) for name, members in parts.items()]
    logger.info("calibrating and testing: %d scans", scans.count())
    familiar, unseen, calibration, coarse, *others = classify_splits(engine, [*splits, *scans.tests])
    check(calibration)
    possible = PossibleLabels.of(card.classes, scans.class_kinds)
    card = fit_probabilities(card, calibration, (possible.classes_of(coarse.scans) > 0, coarse.logits))
    card = fit_detector(card, familiar, [unseen])
    if scans.coarse:
        samples = [_collect_kinds(part, possible, card) for part in others[:2]]
        kinds = fit_kinds(samples[0], samples[1], find_healthy_class(card.classes))
        card = card.model_copy(update={"kinds": kinds})
    if served and scans.unseen:
        logger.info("choosing what goes to review: scans as other hospitals might deliver them")
        lesions = [scan for scan in held_out if _is_contrast_t1(scan) and _is_tumor(scan, card)]
        card = card.model_copy(update={"review": fit_review(engine, card, scans.unseen, lesions)})
    elif served and card.review and card.review.healthy_class:
        shortfall = {"review": Shortfall(found=0, needed=1)}
        card = card.model_copy(update={"shortfalls": {**card.shortfalls, **shortfall}})
    tests = tuple(replace(test, probabilities=softmax(test.logits, card.temperature)) for test in others[2:])
    metrics = {test.name: measure(test.labels, test.probabilities, card.classes, test.groups) for test in tests}
    return card.model_copy(update={"metrics": metrics}), tests


def _collect_kinds(part: SplitOutputs, possible: PossibleLabels, card: ModelCard) -> KindSamples:
    return KindSamples(
        part.features,
        possible.kinds_of(part.scans) > 0,
        softmax(part.logits, card.temperature),
        tumors=np.array([_is_tumor(scan, card) for scan in part.scans], bool),
        healthy=np.array([_is_healthy(scan, card) for scan in part.scans], bool),
        at_home=np.array([not isinstance(scan, CoarseScan) for scan in part.scans], bool),
    )


def _list_labels(scan: Scan) -> tuple[int, ...]:
    return scan.possible if isinstance(scan, CoarseScan) else (scan.label,)


def _is_tumor(scan: Scan, card: ModelCard) -> bool:
    labels = _list_labels(scan)
    return bool(labels) and find_healthy_class(card.classes) not in labels


def _is_healthy(scan: Scan, card: ModelCard) -> bool:
    return _list_labels(scan) == (find_healthy_class(card.classes),)


def _is_head_mr(scan: CoarseScan) -> bool:
    return KINDS.index("not_head_mr") not in scan.kinds


def _is_contrast_t1(scan: CoarseScan) -> bool:
    return scan.kinds == (KINDS.index("contrast_t1"),)
