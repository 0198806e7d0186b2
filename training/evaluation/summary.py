"""An evaluation as text for a terminal: the splits side by side."""

from collections.abc import Sequence

from training.evaluation.evaluation import Evaluation, SplitEvaluation
from training.pages.columns import METRICS, SEEN, TITLES
from training.pages.tables import align, format_interval


def format_evaluation(evaluation: Evaluation) -> str:
    """Write the metrics of all splits in columns, and below them a confusion matrix a split."""
    rows = [["", *(TITLES[split.name] for split in evaluation.splits)]]
    rows.append(
        ["images, groups", *(f"{split.metrics.images}, {split.metrics.groups or '?'}" for split in evaluation.splits)]
    )
    rows.append(["weights", *(split.classifier.identity.sha256[:12] for split in evaluation.splits)])
    rows += [
        [name, *(format_interval(split.metrics.__pydantic_extra__.get(name), 4) for split in evaluation.splits)]
        for name in METRICS
        if any(name in split.metrics.__pydantic_extra__ for split in evaluation.splits)
    ]
    blocks = ["95 % intervals from a bootstrap over groups", align(rows, 2)]
    blocks += [f"{TITLES[split.name]}: {SEEN[split.name]}" for split in evaluation.splits if split.seen]
    blocks += [_format_confusion(split, evaluation.classes) for split in evaluation.splits]
    return "\n".join(blocks)


def _format_confusion(split: SplitEvaluation, classes: Sequence[str]) -> str:
    counts = [[name, *map(str, row)] for name, row in zip(classes, split.confusion.tolist(), strict=True)]
    return f"{TITLES[split.name]}, rows true, columns predicted\n" + align([["", *classes], *counts], 2)
