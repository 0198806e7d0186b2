"""The pointing game and the energy of single heat maps, and of two baselines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.card import Preprocessing
from model.checkpoints.checkpoint import Checkpoint
from model.drawing.heatmap import upsample_heatmap
from model.host.progress import Progress
from model.images.decoded import FloatArray
from model.preprocessing import preprocess_image
from training.data.boxes import Box
from training.data.reading import read_image
from training.localization.boxed_scans import BoxedScan
from training.localization.class_maps import Method, compute_class_maps

IMAGE_CENTER, MEAN_LOCATION = "image_center", "mean_location"
_BATCH_SIZE = 16
_PRIOR_CELLS = 64  # a side; a box is some ten of them wide

Row = tuple[str, str | None]  # how a map is made: a method and its layer; a baseline has none


@dataclass(frozen=True)
class Finding:
    """Whether the peak of a map lies inside the box, and the part of its energy there."""

    hit: bool
    energy: float


def score_map(heatmap: FloatArray, box: Box, size: int) -> Finding:
    """Play the pointing game with one map, and measure its energy inside the box.

    Zhang et al., "Top-down neural attention by excitation backprop", IJCV 2018: a hit if the map's largest value
    is inside the box; here without the margin of 15 pixels that they allow. Wang et al., "Score-CAM", CVPRW 2020,
    equation 8: the part of the map's sum that is inside. A map without evidence finds nothing.

    Args:
        heatmap: (h, w) in [0, 1]; enlarged as it is when served.
        size: Rows and columns that it is enlarged to.
    """
    enlarged = upsample_heatmap(heatmap, size, size)
    total = float(enlarged.sum())
    if total == 0:
        return Finding(False, 0.0)
    row, column = np.unravel_index(enlarged.argmax(), enlarged.shape)
    hit = box.contains(float(column + 0.5) / size, float(row + 0.5) / size)
    return Finding(hit, float((enlarged * box.coverage(size, size)).sum()) / total)


def score_baselines(measured: Sequence[BoxedScan], known: Sequence[BoxedScan]) -> dict[Row, list[Finding]]:
    """Score two "maps" that have not seen the scan.

    image_center points to the middle of the image; its energy is that of an even map, the area of the box.
    mean_location points to the mean centre of the boxes of the class in `known`, or of all if `known` lacks it; its
    energy is that of the mean of these boxes.
    """
    middle = [Finding(boxed.box.contains(0.5, 0.5), boxed.box.area) for boxed in measured]
    priors = {label: _find_prior(known, label) for label in {boxed.scan.label for boxed in measured}}
    usual = []
    for boxed in measured:
        center, density = priors[boxed.scan.label]
        energy = (density * boxed.box.coverage(_PRIOR_CELLS, _PRIOR_CELLS)).sum()
        usual.append(Finding(boxed.box.contains(*center), float(energy)))
    return {(IMAGE_CENTER, None): middle, (MEAN_LOCATION, None): usual}


def _find_prior(known: Sequence[BoxedScan], label: int) -> tuple[tuple[float, float], FloatArray]:
    """Average the boxes of a class: their centre, and their area, with sum 1."""
    boxes = [boxed.box for boxed in known if boxed.scan.label == label] or [boxed.box for boxed in known]
    x, y = np.mean([box.center for box in boxes], axis=0).tolist()
    density = np.mean([box.coverage(_PRIOR_CELLS, _PRIOR_CELLS) for box in boxes], axis=0)
    return (x, y), density / density.sum()


def score_maps(
    checkpoint: Checkpoint, layers: Sequence[str], measured: Sequence[BoxedScan]
) -> tuple[npt.NDArray[np.bool_], dict[Row, list[Finding]]]:
    """Score the maps of the true classes, by every method and layer.

    Returns:
        Which scans were classified correctly, (N,), and the findings by method and layer, in the scans' order.
    """
    size = checkpoint.card.preprocessing.input_size
    correct: list[bool] = []
    findings: dict[Row, list[Finding]] = {(method.value, layer): [] for layer in layers for method in Method}
    progress = Progress(None, "localizing", len(measured), unit="scan")
    for batch, inputs, targets in read_batches(measured, checkpoint.card.preprocessing):
        found = compute_class_maps(checkpoint.network, layers, inputs, targets)
        correct += (found.logits.argmax(dim=1) == targets).tolist()
        for (layer, method), maps in found.maps.items():
            pairs = zip(maps.numpy(), batch, strict=True)
            findings[method.value, layer] += [score_map(heatmap, boxed.box, size) for heatmap, boxed in pairs]
        progress.update(len(batch))
    progress.close()
    return np.array(correct), findings


def read_batches(
    scans: Sequence[BoxedScan], preprocessing: Preprocessing
) -> Iterator[tuple[Sequence[BoxedScan], Tensor, Tensor]]:
    """Read scans in batches, as inputs (N, 3, S, S) and labels (N,), or raise `DataError`."""
    for start in range(0, len(scans), _BATCH_SIZE):
        batch = scans[start : start + _BATCH_SIZE]
        grey = preprocessing.color == "grey"
        images = [read_image(boxed.scan.path, grey=grey).image for boxed in batch]
        inputs = np.concatenate([preprocess_image(image, preprocessing) for image in images])
        yield batch, torch.from_numpy(inputs), torch.tensor([boxed.scan.label for boxed in batch])
