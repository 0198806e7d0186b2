"""Copies and shortcuts in a data set, before training on it.

folder -> files -> copies (pairs, groups) -> overlaps of splits, label conflicts
             +---> facts -> shortcuts, sources, unreadable files
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.audit.overlaps import Overlap, find_overlaps
from training.audit.shortcuts import Shortcuts, measure_shortcuts
from training.audit.sources import guess_source
from training.data.copies import Copies, find_copies, weakest_correlation
from training.data.image_tree import TreeFile, find_files
from training.data.thumbnails import MIN_CORRELATION
from training.errors import DataError

Flags = npt.NDArray[np.bool_]
_NUM_LARGEST = 3


@dataclass(frozen=True)
class Group:
    """Files that are copies, or copies of copies, of one picture."""

    name: str
    members: tuple[int, ...]
    weakest_correlation: float


@dataclass(frozen=True)
class Audit:
    """Findings in a folder.

    Attributes:
        files: All files; `copies` knows each by its position here.
        sources: Guessed collection of each file.
        shortcuts: None without a usable image, or with one class only.
        largest: The largest groups of more than one file.
    """

    root: Path
    files: tuple[TreeFile, ...]
    copies: Copies
    sources: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    shortcuts: Shortcuts | None
    largest: tuple[Group, ...]

    @cached_property
    def mirrored(self) -> Flags:
        """Whether a pair is more alike after mirroring one of the two, (P,)."""
        return np.asarray(self.copies.pairs.mirrored > self.copies.pairs.correlation, bool)

    @cached_property
    def across(self) -> Flags:
        """Whether a pair lies in two splits, (P,)."""
        return self._differs(np.array([file.split for file in self.files]))

    @cached_property
    def conflicting(self) -> Flags:
        """Whether the two of a pair, the same picture, are in two classes, (P,)."""
        labels, pairs = np.array([file.label for file in self.files]), self.copies.pairs
        named = (labels[pairs.first] != "") & (labels[pairs.second] != "")
        return np.asarray(self._differs(labels) & named, bool)

    def _differs(self, names: npt.NDArray[np.str_]) -> Flags:
        return np.asarray(names[self.copies.pairs.first] != names[self.copies.pairs.second], bool)


def audit(root: Path, skip: Path | None = None) -> Audit:
    """Look at every file of ROOT/SPLIT/CLASS/... or ROOT/CLASS/..., except in the folder `skip`.

    Raises:
        DataError: If the folder is missing or holds no usable image.
    """
    files = find_files(root, skip)
    copies = find_copies([file.path for file in files])
    if not copies.usable.any():
        raise DataError(
            f"none of the {len(files)} files in {root} is a usable image: {files[0].name}: {copies.facts[0].problem}"
        )
    sources = tuple(guess_source(file.name, facts) for file, facts in zip(files, copies.facts, strict=True))
    return Audit(
        root,
        files,
        copies,
        sources,
        tuple(find_overlaps(files, copies)),
        _find_shortcuts(files, copies),
        _largest(copies),
    )


def summarize(found: Audit) -> dict[str, Any]:
    """Put an audit into plain numbers and names, for `summary.json`.

    A file counts as an exact (same bytes), near or mirrored copy if it is one of a file listed before it.
    """
    copies, pairs = found.copies, found.copies.pairs
    known = next((each for each in found.overlaps if _has_official_names(each)), None)
    return {
        "files": len(found.files),
        "images": int(copies.usable.sum()),
        "unreadable": int((~copies.usable).sum()),
        "groups": len({name for name, usable in zip(copies.groups, copies.usable, strict=True) if usable}),
        "largest_group": max(Counter(copies.groups).values()),
        "exact_copies": _count_later(copies, copies.same_bytes),
        "near_copies": _count_later(copies, ~copies.same_bytes & ~found.mirrored),
        "mirrored_copies": _count_later(copies, found.mirrored),
        "pairs": len(pairs),
        "pairs_across_splits": int(found.across.sum()),
        "groups_across_splits": _count_shared_groups(found),
        "testing_images": known and known.images,
        "testing_with_copy_in_training": known and known.with_copy,
        "testing_with_copy_in_training_without_mirroring": known and known.without_mirroring,
        "testing_with_identical_bytes_in_training": known and known.same_bytes,
        "testing_with_identical_pixels_in_training": known and known.same_pixels,
        "testing_with_copy_in_training_by_class": known and asdict(known)["by_class"],
        "label_conflicts": int(found.conflicting.sum()),
        "label_conflict_pairs": [
            [found.files[index].name for index in pair]
            for pair in zip(pairs.first[found.conflicting], pairs.second[found.conflicting], strict=True)
        ],
        "overlaps": [asdict(each) for each in found.overlaps],
        "largest_groups": [
            {"group": each.name, "files": len(each.members), "weakest_correlation": each.weakest_correlation}
            for each in found.largest
        ],
        "sources": dict(Counter(found.sources).most_common()),
        "shortcuts": found.shortcuts and asdict(found.shortcuts),
        "unreadable_files": [
            {"path": file.name, "problem": facts.problem}
            for file, facts in zip(found.files, copies.facts, strict=True)
            if facts.problem
        ],
        "min_correlation": MIN_CORRELATION,
    }


def format_headlines(found: Audit) -> str:
    """Say the main findings in a few lines."""
    summary = summarize(found)
    lines = [
        "{images} images in {groups} groups, the largest of {largest_group}; {unreadable} files cannot be used",
        "copies of an earlier file: {exact_copies} identical, {near_copies} near, {mirrored_copies} mirrored",
        "pairs with different classes: {label_conflicts}",
    ]
    if summary["testing_images"]:
        lines.append(
            "{testing_with_copy_in_training} of {testing_images} test images have a copy in training, "
            "{testing_with_copy_in_training_without_mirroring} without mirroring"
        )
    return "\n".join(lines).format_map(summary)


def _has_official_names(overlap: Overlap) -> bool:
    """Recognise Testing and Training by their usual names: test, train, TRAIN, Test-set."""
    return overlap.split.casefold().startswith("test") and overlap.other.casefold().startswith("train")


def _count_later(copies: Copies, chosen: Flags) -> int:
    return int(np.unique(copies.pairs.second[chosen]).size)


def _count_shared_groups(found: Audit) -> int:
    places = {(group, file.split) for group, file in zip(found.copies.groups, found.files, strict=True)}
    return sum(count > 1 for count in Counter(group for group, _ in places).values())


def _find_shortcuts(files: Sequence[TreeFile], copies: Copies) -> Shortcuts | None:
    usable = np.flatnonzero(copies.usable).tolist()
    labels = [files[index].label for index in usable]
    if len(set(labels)) < 2:
        return None
    return measure_shortcuts([copies.facts[i] for i in usable], labels, [copies.groups[i] for i in usable])


def _largest(copies: Copies) -> tuple[Group, ...]:
    largest = [name for name, size in Counter(copies.groups).most_common(_NUM_LARGEST) if size > 1]
    members = {name: tuple(i for i, group in enumerate(copies.groups) if group == name) for name in largest}
    return tuple(
        Group(name, indices, weakest_correlation([copies.facts[index] for index in indices]))
        for name, indices in members.items()
    )
