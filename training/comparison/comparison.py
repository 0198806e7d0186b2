"""Several systems on the same splits.

A system is one recipe's checkpoint, or two: one trained on the official split and one on groups. Each split is
measured with the one that has not seen it, where there is one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import TypeAdapter
from tyro.conf import Positional
from tyro.constructors import PrimitiveConstructorSpec

from model.card import ModelCard
from model.checkpoints.checkpoint import load_checkpoint
from model.engines.loading import load_engine
from training.comparison.costs import Costs, measure_costs
from training.errors import DataError
from training.evaluation.evaluation import Evaluation, EvaluationOptions, SplitEvaluation, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.metrics.mcnemar import PairedTest, adjust_p_values, compare_pair
from training.metrics.ranking import Mask


@dataclass(frozen=True)
class NamedCheckpoint:
    """A `.pth`; where `.onnx` of the same name lies beside it, that one is measured and timed."""

    path: Path
    name: str | None = None

    @property
    def served(self) -> Path:
        """The file that is measured."""
        exported = self.path.with_suffix(".onnx")
        return exported if exported.is_file() else self.path


def parse_checkpoint(text: str) -> NamedCheckpoint:
    """Read `FILE.pth` or `NAME=FILE.pth`."""
    name, separator, path = text.rpartition("=")
    return NamedCheckpoint(Path(path), name if separator else None)


_NAMED = PrimitiveConstructorSpec(
    nargs=1,
    metavar="[NAME=]FILE.pth",
    instance_from_str=lambda words: parse_checkpoint(words[0]),
    is_instance=lambda value: isinstance(value, NamedCheckpoint),
    str_from_instance=lambda checkpoint: [str(checkpoint.path)],
)


@dataclass(frozen=True)
class ComparisonOptions:
    """Systems and the scans to compare them on; see `training.evaluation.evaluation.EvaluationOptions`.

    Attributes:
        data: Folder with `Testing/CLASS/` and, for groups, `Training/CLASS/`.
        checkpoints: Those of one name, or else one recipe, trained on different splits, are one system.
        groups: Table with the columns path, group and split.
        num_threads: Cores that compute.
    """

    data: Positional[Path]
    checkpoints: Positional[tuple[Annotated[NamedCheckpoint, _NAMED], ...]]
    groups: Path | None = None
    num_threads: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        """Check that there is something to compare."""
        if not self.checkpoints:
            raise ValueError("expected at least one [NAME=]FILE.pth")


@dataclass(frozen=True)
class System:
    """One system with its results; `epochs` and `seconds` of its training are None where the card lacks them."""

    name: str
    evaluation: Evaluation
    costs: Costs
    epochs: int | None
    seconds: int | None

    @property
    def card(self) -> ModelCard:
        """The card of the weights."""
        return self.evaluation.classifier.card

    def split(self, name: str) -> SplitEvaluation | None:
        """Find the results on a split."""
        return next((split for split in self.evaluation.splits if split.name == name), None)


@dataclass(frozen=True)
class SharedVerdicts:
    """Which scans, (N,), two systems classified correctly, by the classes that both know."""

    classes: tuple[str, ...]
    first_right: Mask
    second_right: Mask


@dataclass(frozen=True)
class Pair:
    """Two systems on one split, by the classes that both know; `adjusted` is Holm's p-value."""

    split: str
    first: str
    second: str
    classes: tuple[str, ...]
    test: PairedTest
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    """All systems, and all pairs of them that can be compared on a split."""

    options: ComparisonOptions
    systems: tuple[System, ...]
    pairs: tuple[Pair, ...]

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that were classified, in the order of the first system."""
        return tuple(split.name for split in self.systems[0].evaluation.splits)

    def describe(self) -> dict[str, Any]:
        """Show everything as plain types."""
        return {
            "systems": {system.name: _describe_system(system) for system in self.systems},
            "pairs": TypeAdapter(tuple[Pair, ...]).dump_python(self.pairs, mode="json"),
        }


def compare(options: ComparisonOptions) -> Comparison:
    """Measure several checkpoints on the same splits.

    Raises:
        CheckpointError: If one cannot be loaded.
        DataError: If the folder is not as expected, or two checkpoints of one name were trained on one split.
    """
    systems = tuple(_measure_system(name, members, options) for name, members in _group_by_name(options.checkpoints))
    return Comparison(options, systems, _compare_pairs(systems))


def _group_by_name(checkpoints: Sequence[NamedCheckpoint]) -> list[tuple[str, dict[str, NamedCheckpoint]]]:
    """Collect the checkpoints of each system by the split they were trained on."""
    systems: dict[str, dict[str, NamedCheckpoint]] = {}
    for checkpoint in checkpoints:
        card = load_engine(checkpoint.path).card
        name = checkpoint.name or str(card.training.get("recipe", {}).get("name", checkpoint.path.stem))
        split = str(card.training.get("split", "official"))
        if split in systems.setdefault(name, {}):
            raise DataError(
                f"two checkpoints of {name} were trained on the {split} split: name them, as in NAME={checkpoint.path}"
            )
        systems[name][split] = checkpoint
    return list(systems.items())


def _measure_system(name: str, members: dict[str, NamedCheckpoint], options: ComparisonOptions) -> System:
    official, grouped = (members.get(split) or members.get("common") for split in ("official", "grouped"))
    main = grouped or members["official"]
    evaluation = evaluate(
        EvaluationOptions(
            data=options.data,
            checkpoint=main.served,
            groups=options.groups,
            official_checkpoint=official.served if official and official is not main else None,
            num_threads=options.num_threads,
        )
    )
    training = load_checkpoint(main.path).card.training
    return System(
        name=name,
        evaluation=evaluation,
        costs=measure_costs(main.path, main.served, load_engine(main.served, 1)),
        epochs=training.get("epochs"),
        seconds=training.get("seconds"),
    )


def _compare_pairs(systems: Sequence[System]) -> tuple[Pair, ...]:
    pairs = []
    for name in dict.fromkeys(split.name for system in systems for split in system.evaluation.splits):
        tests: list[tuple[System, System, SharedVerdicts, PairedTest]] = []
        for first, second in combinations(systems, 2):
            one, other = first.split(name), second.split(name)
            if one is not None and other is not None:
                shared = share_verdicts(one, other)
                if shared is not None:
                    test = compare_pair(shared.first_right, shared.second_right, one.classified.groups)
                    tests.append((first, second, shared, test))
        adjusted = adjust_p_values([test.p_value for *_, test in tests])
        pairs += [
            Pair(name, first.name, second.name, shared.classes, test, p_value)
            for (first, second, shared, test), p_value in zip(tests, adjusted, strict=True)
        ]
    return tuple(pairs)


def share_verdicts(first: SplitEvaluation, second: SplitEvaluation) -> SharedVerdicts | None:
    """Find which scans two systems classified correctly by the coarser of their classes, if one's are merged."""
    for coarse in (first.classifier.card, second.classifier.card):
        right, other_right = _find_right_by(first, coarse), _find_right_by(second, coarse)
        if right is not None and other_right is not None:
            return SharedVerdicts(coarse.classes, right, other_right)
    return None


def _find_right_by(split: SplitEvaluation, coarse: ModelCard) -> Mask | None:
    """Add up the probabilities of what are the same class to `coarse`; None where it does not know a class."""
    classes, classified = split.classifier.card.classes, split.classified
    if classes == coarse.classes:
        return classified.probabilities.argmax(axis=1) == classified.labels  # type: ignore[no-any-return]
    if not set(classes) <= coarse.class_map.keys():
        return None
    columns = np.array([coarse.classes.index(coarse.class_map[name]) for name in classes])
    merged = np.zeros((len(classified.labels), len(coarse.classes)))
    np.add.at(merged.T, columns, classified.probabilities.T)
    right: Mask = merged.argmax(axis=1) == columns[classified.labels]
    return right


def _describe_system(system: System) -> dict[str, Any]:
    return {
        "architecture": system.card.architecture,
        "epochs": system.epochs,
        "training_seconds": system.seconds,
        "costs": TypeAdapter(Costs).dump_python(system.costs, mode="json"),
        **describe_evaluation(system.evaluation),
    }
