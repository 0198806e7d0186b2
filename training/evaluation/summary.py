"""An evaluation as text for a terminal: the splits side by side."""

from collections.abc import Sequence

from training.evaluation.evaluation import Evaluation, SplitEvaluation
from training.pages.columns import METRICS, SEEN, TITLES


def format_evaluation(evaluation: Evaluation) -> str:
    """Write the metrics of all splits in columns, and below them a confusion matrix a split."""
    rows = [["", *(TITLES[split.name] for split in evaluation.splits)]]
    rows.append(["images, groups", *(_format_size(split) for split in evaluation.splits)])
    rows.append(["weights", *(split.classifier.identity.sha256[:12] for split in evaluation.splits)])
    rows += [
        [name, *(_format_metric(split, name) for split in evaluation.splits)]
        for name in METRICS
        if any(name in split.metrics.__pydantic_extra__ for split in evaluation.splits)
    ]
    blocks = ["95 % intervals from a bootstrap over groups", _align(rows)]
    blocks += [f"{TITLES[split.name]}: {SEEN[split.name]}" for split in evaluation.splits if split.seen]
    blocks += [_format_confusion(split, evaluation.classes) for split in evaluation.splits]
    return "\n".join(blocks)


def _format_size(split: SplitEvaluation) -> str:
    groups = "?" if split.metrics.groups is None else split.metrics.groups
    return f"{split.metrics.images}, {groups}"


def _format_metric(split: SplitEvaluation, name: str) -> str:
    interval = split.metrics.__pydantic_extra__.get(name)
    return "-" if interval is None else f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def _format_confusion(split: SplitEvaluation, classes: Sequence[str]) -> str:
    counts = [[name, *map(str, row)] for name, row in zip(classes, split.confusion.tolist(), strict=True)]
    return f"{TITLES[split.name]}, rows true, columns predicted\n" + _align([["", *classes], *counts])


def _align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
