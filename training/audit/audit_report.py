"""An audit as files: the groups for splitting, a summary for machines, a page with pictures for people."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.audit.audit import Audit, Flags, summarize
from training.data.reading import read_image
from training.pages.pictures import encode_picture
from training.pages.templates import create_environment, write_files

GROUPS, SUMMARY, REPORT = "groups.csv", "summary.json", "report.html"
_PICTURE_SIZE = 144
_NUM_EXAMPLES = 6
_NUM_CONFLICTS = 24
_NUM_MEMBERS = 16


@dataclass(frozen=True)
class Picture:
    """One picture in the page; `source` is a `data:` address."""

    name: str
    label: str
    source: str


@dataclass(frozen=True)
class Example:
    """Pictures side by side, and how they are related."""

    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """Examples of one kind, out of `total`."""

    title: str
    text: str
    total: int
    examples: tuple[Example, ...]


def write_audit(found: Audit, out: Path) -> Path:
    """Write `groups.csv`, `summary.json` and `report.html`, whose path is returned, or raise `DataError`."""
    contents = {GROUPS: format_groups(found), SUMMARY: json.dumps(summarize(found), indent=2) + "\n"}
    contents[REPORT] = render_report(found)
    write_files(out, contents)
    return out / REPORT


def format_groups(found: Audit) -> str:
    """Write one row a file: path relative to the root, sha256, group, source, and as split the top folder."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["path", "sha256", "group", "source", "split"])
    for file, facts, group, source in zip(
        found.files, found.copies.facts, found.copies.groups, found.sources, strict=True
    ):
        table.writerow([file.name, facts.sha256, group, source, file.split])
    return buffer.getvalue()


def render_report(found: Audit) -> str:
    """Make the page: one file that needs nothing else, not even a network."""
    environment = create_environment("training.audit")
    page = environment.get_template("audit.html")
    return page.render(
        found=found, summary=summarize(found), galleries=[each for each in _make_galleries(found) if each.examples]
    )


def _make_galleries(found: Audit) -> Iterable[Gallery]:
    mirrored, identical, across = found.mirrored, found.copies.same_bytes, found.across
    near = ~identical & ~mirrored
    text = "The same picture encoded, scaled or brightened again; close to 0.98 it may be the next slice of a patient."
    yield _show_pairs(
        found, found.conflicting, "One picture, two classes", "At most one of the two labels is right.", _NUM_CONFLICTS
    )
    for chosen, place in ((across, "in two splits"), (~across, "inside one split")):
        yield _show_pairs(
            found,
            chosen & mirrored,
            f"Mirrored copies {place}",
            "The third picture of each row is the second one mirrored back, for comparison with the first.",
        )
        yield _show_pairs(found, chosen & near, f"Near copies {place}", text)
        yield _show_pairs(found, chosen & identical, f"Identical files {place}", "Same bytes, two names.")
    yield _show_largest(found)


def _show_pairs(found: Audit, chosen: Flags, title: str, text: str, num_examples: int = _NUM_EXAMPLES) -> Gallery:
    positions = np.flatnonzero(chosen)
    spread = np.linspace(0, len(positions) - 1, min(num_examples, len(positions))).astype(int)
    return Gallery(title, text, len(positions), tuple(_show_pair(found, int(positions[i])) for i in spread))


def _show_pair(found: Audit, position: int) -> Example:
    pairs = found.copies.pairs
    first, second = int(pairs.first[position]), int(pairs.second[position])
    pictures = (_show_file(found, first), _show_file(found, second))
    if found.copies.same_pixels[position]:
        return Example("same bytes" if found.copies.same_bytes[position] else "same pixels, other bytes", pictures)
    if found.mirrored[position]:
        caption = f"mirrored, correlation {pairs.mirrored[position]:.4f}"
        return Example(caption, (*pictures, _show_file(found, second, mirror=True)))
    return Example(f"correlation {pairs.correlation[position]:.4f}", pictures)


def _show_largest(found: Audit) -> Gallery:
    examples = tuple(
        Example(
            f"{group.name}: {len(group.members)} files, least alike two {group.weakest_correlation:.3f}",
            tuple(_show_file(found, index) for index in group.members[:_NUM_MEMBERS]),
        )
        for group in found.largest
    )
    text = f"Copies of copies; the first {_NUM_MEMBERS} of each. If they are not one picture, the chain has led astray."
    return Gallery("Largest groups", text, len(examples), examples)


def _show_file(found: Audit, index: int, mirror: bool = False) -> Picture:
    file = found.files[index]
    picture = Image.fromarray(read_image(file.path).image).convert("L")
    picture.thumbnail((_PICTURE_SIZE, _PICTURE_SIZE))
    source = encode_picture(ImageOps.mirror(picture) if mirror else picture)
    return Picture("mirrored back" if mirror else file.name, file.label, source)
