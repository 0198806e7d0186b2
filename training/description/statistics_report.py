"""Statistics as files: numbers for machines, and one page with plots and sample images for people."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from training.data.reading import read_image
from training.description.statistics import NUM_BINS, SplitStatistics, Statistics
from training.pages.pictures import encode_picture, label_text, render_svg
from training.pages.templates import create_environment, write_files

SUMMARY, REPORT = "statistics.json", "statistics.html"
_NUM_SAMPLES = 6
_SAMPLE_PIXELS = 112
_COLORS = ("#0b63b5", "#c2410c", "#15803d", "#7e22ce", "#57534e", "#be185d", "#0e7490", "#a16207")


@dataclass(frozen=True)
class SampleRow:
    """Images of one class, each a `data:` address; `title` is split and class."""

    title: str
    pictures: tuple[str, ...]


def write_statistics(statistics: Statistics, out: Path) -> Path:
    """Write `statistics.json` and `statistics.html`, whose path is returned, or raise `DataError`."""
    contents = {SUMMARY: json.dumps(statistics.describe(), indent=2) + "\n", REPORT: render_statistics(statistics)}
    write_files(out, contents)
    return out / REPORT


def render_statistics(statistics: Statistics) -> str:
    """Make the page: one file that needs nothing else."""
    environment = create_environment("training.description")
    return environment.get_template("statistics.html").render(
        statistics=statistics,
        counts=draw_counts(statistics),
        histograms=[(split, draw_histograms(split)) for split in statistics.splits],
        samples=draw_samples(statistics),
    )


def draw_counts(statistics: Statistics) -> str:
    """Draw a bar a class and split, as SVG."""
    labels = sorted({found.label for split in statistics.splits for found in split.classes})
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(statistics.splits)
    for index, split in enumerate(statistics.splits):
        counts = {found.label: found.images for found in split.classes}
        places = np.arange(len(labels)) + (index - (len(statistics.splits) - 1) / 2) * width
        bars = axis.bar(
            places,
            [counts.get(label, 0) for label in labels],
            width,
            label=label_text(split.name or "all"),
            color=_COLORS[index % 8],
        )
        axis.bar_label(bars, fontsize=8)
    axis.set_xticks(range(len(labels)), [label_text(label) for label in labels])
    axis.set_ylabel("images")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return render_svg(figure)


def draw_histograms(split: SplitStatistics) -> str:
    """Draw grey levels and sizes by class, as SVG."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    levels, sizes = figure.subplots(1, 2)
    centres = (np.arange(NUM_BINS) + 0.5) * (256 / NUM_BINS)
    for index, found in enumerate(split.classes):
        color = _COLORS[index % len(_COLORS)]
        levels.plot(centres[1:], found.histogram[1:], color=color, label=label_text(found.label), linewidth=1.3)
        sizes.errorbar(
            [found.width.median],
            [index],
            xerr=[[found.width.median - found.width.minimum], [found.width.maximum - found.width.median]],
            fmt="o",
            color=color,
            capsize=3,
        )
    levels.set_xlabel("grey level (the darkest bin left out)")
    levels.set_ylabel("part of the pixels")
    levels.legend(frameon=False, fontsize=8)
    sizes.set_yticks(range(len(split.classes)), [label_text(found.label) for found in split.classes])
    sizes.set_xlabel("width, pixels: median, least and largest")
    for axis in (levels, sizes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return render_svg(figure)


def draw_samples(statistics: Statistics) -> list[SampleRow]:
    """Draw some images of each split and class, spread evenly over their list."""
    rows = []
    for (split, label), names in statistics.files.items():
        chosen = np.unique(np.linspace(0, len(names) - 1, min(_NUM_SAMPLES, len(names))).astype(int))
        pictures = tuple(_draw_sample(statistics.root / names[index]) for index in chosen)
        rows.append(SampleRow(f"{split} {label}".strip(), pictures))
    return rows


def _draw_sample(path: Path) -> str:
    picture = Image.fromarray(read_image(path).image).convert("L")
    return encode_picture(ImageOps.pad(picture, (_SAMPLE_PIXELS, _SAMPLE_PIXELS)))
