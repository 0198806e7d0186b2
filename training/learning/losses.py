"""The losses that an objective is made of."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model.drawing.heatmap import spline_weights

LOCATION_GRID = 28  # cells a side on which maps and boxes are compared
_SHARPNESS = 2.0  # of the distribution over cells that a standardised map is turned into


def partial_label_loss(logits: Tensor, possible: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute -log of the summed probability of the possible labels; cross-entropy where there is one.

    Cour, Sapp and Taskar, "Learning from Partial Labels", JMLR 2011. Smoothing mixes in the cross-entropy with equal
    probabilities (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7).

    Args:
        logits: (N, K).
        possible: (N, K) of 0 and 1.

    Returns:
        (N,), nats; 0 where no label is marked, which says nothing.
    """
    log_probabilities = functional.log_softmax(logits, dim=1)
    impossible = possible == 0
    loss = -torch.logsumexp(log_probabilities.masked_fill(impossible, -torch.inf), dim=1)
    loss = (1 - smoothing) * loss - smoothing * log_probabilities.mean(dim=1)
    return loss.masked_fill(impossible.all(dim=1), 0.0)


def distillation_loss(
    logits: Tensor, opinions: Sequence[Tensor], temperature: float, classes: Tensor | None = None
) -> Tensor:
    """Compute T^2 KL(mean of the teachers' softmax(z / T) || softmax(z / T)), mean over images.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. Teacher and
    student see the same augmented image: Beyer et al., "Knowledge distillation: A good teacher is patient
    and consistent", CVPR 2022.

    Args:
        logits: (N, K), the student's.
        opinions: The logits (N, K) of each teacher.
        classes: `Batch.classes`; images of which no class is possible count as 0. By default all count.
    """
    expected = torch.stack([functional.softmax(opinion / temperature, dim=1) for opinion in opinions]).mean(dim=0)
    found = functional.log_softmax(logits / temperature, dim=1)
    divergence = functional.kl_div(found, expected, reduction="none").sum(dim=1)
    return temperature**2 * (divergence if classes is None else divergence * classes.amax(dim=1)).mean()


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Compute 1 - cosine similarity of feature vectors (N, C, h, w), mean over images and positions.

    A learnt projection brings the student's features into the teacher's space: Romero et al., "FitNets",
    ICLR 2015.
    """
    if ours.shape[2:] != theirs.shape[2:]:
        theirs = functional.adaptive_avg_pool2d(theirs, (ours.shape[2], ours.shape[3]))
    return (1 - functional.cosine_similarity(ours.float(), theirs.float(), dim=1)).mean()


def location_loss(maps: Tensor, locations: Tensor) -> Tensor:
    """Compute -log of the part of a map that lies in the tumour's box.

    Each map is enlarged as it is when served, standardised, and turned into a distribution over cells by a softmax: the
    loss depends on where the evidence is and not on how much there is.

    Args:
        maps: (N, h, w), any sign.
        locations: (N, 28, 28); images without a box count as 0.

    Returns:
        The sum over images with a box divided by N, so that equal shares of a batch average to the whole.
    """
    known = locations.flatten(1).amax(dim=1) > 0
    rows, columns = (torch.tensor(spline_weights(LOCATION_GRID, cells)).to(maps) for cells in maps.shape[1:])
    values = (rows @ maps @ columns.T).flatten(1)
    values = (values - values.mean(dim=1, keepdim=True)) / (values.std(dim=1, keepdim=True) + 1e-6)
    log_shares = functional.log_softmax(_SHARPNESS * values, dim=1)
    inside = torch.logsumexp(log_shares + torch.log(locations.flatten(1) + 1e-9), dim=1)
    return -torch.where(known, inside, torch.zeros_like(inside)).mean()
