"""The first batch as a picture: what the network sees of the scans, after augmentation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.learning.dataset import Sample
from training.pages.pictures import shorten_label

MAX_IMAGES, _COLUMNS = 32, 8
_INCHES, _DPI = 1.3, 100


def draw_batch(samples: Sequence[Sample], classes: Sequence[str], path: Path) -> None:
    """Draw the first `MAX_IMAGES` samples with the classes that they may have."""
    shown = samples[:MAX_IMAGES]
    num_rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _INCHES, num_rows * (_INCHES + 0.2)))
    grid = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (image, possible, *_) in zip(grid, shown, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        name = " or ".join(classes[label] for label in np.flatnonzero(possible).tolist())
        axes.set_title(shorten_label(name), fontsize=7)
    figure.subplots_adjust(0, 0, 1, 1 - 0.2 / (num_rows * (_INCHES + 0.2)), 0.02, 0.15)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
