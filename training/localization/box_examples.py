"""Single maps with their boxes: the best, the middle and the worst, by the energy inside the box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from model.checkpoints.checkpoint import Checkpoint
from model.drawing.heatmap import quantize_heatmap
from model.drawing.overlay import blend
from model.images.decoded import FloatArray
from training.data.boxes import Box
from training.data.reading import read_image
from training.localization.box_findings import Finding, read_batches
from training.localization.boxed_scans import BoxedScan
from training.localization.class_maps import Method, compute_class_maps
from training.pages.pictures import encode_picture

PLACES = ("best", "median", "worst")
_NUM_EXAMPLES = 4  # of each
_SIDE, _ALPHA = 224, 0.5
_BOX_COLOR = "#ffffff"


@dataclass(frozen=True)
class Example:
    """The Grad-CAM map of one scan's true class.

    Attributes:
        place: One of `PLACES`.
        path: Of the scan.
        label: Name of its class.
        correct: Whether it was classified correctly.
        picture: Scan and map with the box, as a `data:` address.
    """

    place: str
    path: str
    label: str
    correct: bool
    finding: Finding
    picture: str


def choose_examples(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    """Choose indices for each of `PLACES`, none of them twice; with fewer than 12 findings fewer of each."""
    order = np.argsort([-finding.energy for finding in findings], kind="stable").tolist()
    count = min(_NUM_EXAMPLES, max(1, len(order) // len(PLACES)))
    starts = dict(zip(PLACES, (0, (len(order) - count) // 2, len(order) - count), strict=True))
    places: dict[int, str] = {}
    for place, start in starts.items():
        for index in order[start : start + count]:
            places.setdefault(index, place)
    return [(place, index) for index, place in places.items()]


def draw_examples(
    checkpoint: Checkpoint,
    layer: str,
    scans: Sequence[BoxedScan],
    findings: Sequence[Finding],
    correct: npt.NDArray[np.bool_],
) -> tuple[Example, ...]:
    """Draw the examples among `scans`, whose maps of `layer` have these `findings`."""
    chosen = choose_examples(findings)
    boxed = [scans[index] for _, index in chosen]
    pictures = [
        _draw(scan, heatmap)
        for batch, inputs, targets in read_batches(boxed, checkpoint.card.preprocessing)
        for scan, heatmap in zip(
            batch,
            compute_class_maps(checkpoint.network, (layer,), inputs, targets).maps[layer, Method.GRAD_CAM].numpy(),
            strict=True,
        )
    ]
    return tuple(
        Example(
            place=place,
            path=f"{scan.scan.path.parent.name}/{scan.scan.path.name}",
            label=checkpoint.card.classes[scan.scan.label],
            correct=bool(correct[index]),
            finding=findings[index],
            picture=encode_picture(picture),
        )
        for (place, index), scan, picture in zip(chosen, boxed, pictures, strict=True)
    )


def _draw(boxed: BoxedScan, heatmap: FloatArray) -> Image.Image:
    scan = Image.fromarray(read_image(boxed.scan.path).image).resize((_SIDE, _SIDE))
    overlay = Image.fromarray(blend(np.asarray(scan), quantize_heatmap(heatmap, _SIDE, _SIDE), _ALPHA))
    picture = Image.new("RGB", (2 * _SIDE, _SIDE))
    for left, half in ((0, scan), (_SIDE, overlay)):
        _outline(half, boxed.box)
        picture.paste(half, (left, 0))
    return picture


def _outline(picture: Image.Image, box: Box) -> None:
    corners = [_SIDE * value for value in (box.x0, box.y0, box.x1, box.y1)]
    ImageDraw.Draw(picture).rectangle(corners, outline=_BOX_COLOR)
