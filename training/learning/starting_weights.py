"""Weights before the first step.

model hub, or a file of timm weights -> pretrained backbone
checkpoint of ours                   -> all of it, or all but the classifier
teacher                              -> everything of the same name that fits
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from model.checkpoints.checkpoint import load_checkpoint, load_weights
from model.errors import CheckpointError, ModelError
from model.networks.features import Explainer
from model.networks.network import create_network, find_classifier, find_layer
from model.networks.small_networks import SMALL_NETWORKS
from training.errors import PretrainedError, RecipeError
from training.foreign_weights import read_foreign_weights, select_weights
from training.recipe import Recipe
from training.recipe_files import recipe_names

_GATE = ".se."  # in timm's names of squeeze-and-excitation
_OPEN = 4.0

logger = logging.getLogger(__name__)


def create_training_network(recipe: Recipe, num_classes: int, *, pretrained: bool) -> nn.Module:
    """Create the recipe's network, if `pretrained` with ImageNet weights from the model hub.

    Raises:
        CheckpointError: If there is no such architecture, or it lacks the recipe's Grad-CAM layer.
        PretrainedError: If the hub cannot be reached.
        RecipeError: If the stages have several image sizes, and the architecture takes only one.
    """
    size = recipe.preprocessing().input_size
    if recipe.architecture in SMALL_NETWORKS and any(stage.image_size != size for stage in recipe.stages):
        raise RecipeError(f"{recipe.architecture} takes images of one size: give all stages the same image_size")
    if pretrained:
        logger.info("getting the ImageNet weights of %s", recipe.architecture)
    try:
        network = create_network(
            recipe.architecture,
            num_classes,
            input_size=size,
            head=recipe.head,
            pretrained=pretrained,
            dropout=recipe.dropout,
            hidden_dropout=recipe.hidden_dropout,
            drop_path=recipe.drop_path,
        )
    except ModelError:
        raise
    except Exception as error:  # each hub client and each version raises types of its own
        if not pretrained:
            raise
        scratch = recipe.name.removesuffix("_scratch") + "_scratch"
        way_out = f"--recipe {scratch}" if scratch in recipe_names() else "--pretrained false"
        raise PretrainedError(
            f"cannot get the ImageNet weights of {recipe.architecture}: let this machine reach the model hub "
            "(or set HF_HOME to a filled cache), name a file of them with --pretrained-file, or start without "
            f"them: {way_out}"
        ) from error
    find_layer(network, recipe.gradcam_layer)
    return network


def check_networks(network: nn.Module, teachers: Sequence[nn.Module], recipe: Recipe) -> None:
    """Try networks on blank images, as training and export will use them.

    Raises:
        CheckpointError: If the recipe's `gradcam_layer` yields no map.
        RecipeError: If they do not take the recipe's images, or have no maps where a loss needs them.
    """
    trials = [copy.deepcopy(each).eval() for each in (network, *teachers)]  # hooks and dropped gradients stay in these
    features = [_try_images(trial, stage.image_size, recipe) for stage in recipe.stages for trial in trials]
    weight = getattr(trials[0].get_classifier(), "weight", torch.zeros(0))  # type: ignore[operator]
    if recipe.location_weight and (features[0].ndim != 4 or weight.shape[1:] != features[0].shape[1:2]):
        raise RecipeError(
            "location_weight needs a network whose last map is averaged and enters one linear layer; "
            f"{recipe.architecture} is built otherwise: set it to 0"
        )
    if recipe.feature_weight and any(each.ndim != 4 for each in features):
        raise RecipeError("feature_weight needs networks whose features are maps (N, C, H, W): set it to 0")
    size = recipe.preprocessing().input_size
    Explainer(trials[0], recipe.gradcam_layer)(torch.zeros(2, 3, size, size), torch.tensor([-1, 0]))


@torch.no_grad()
def _try_images(network: nn.Module, size: int, recipe: Recipe) -> Tensor:
    """Compute the features of blank images, where the network takes images of this size."""
    try:
        features: Tensor = network.forward_features(torch.zeros(2, 3, size, size))  # type: ignore[operator]
        network.forward_head(features)  # type: ignore[operator]
    except (AssertionError, RuntimeError) as error:  # timm's networks check sizes by assertions
        raise RecipeError(f"{recipe.architecture}, or its teacher, does not take images of {size} pixels") from error
    return features


def start_from_file(network: nn.Module, path: Path) -> None:
    """Copy the backbone from a file of timm weights; the classifier stays as it is.

    EfficientNet-Lite has the layers of EfficientNet, but no squeeze-and-excitation: its gates then start open.

    Raises:
        CheckpointError: If the file cannot be read or does not hold this architecture.
    """
    weights = read_foreign_weights(path)
    if not any(_GATE in name for name in weights.tensors) and (gates := _open_gates(network)):
        logger.info("%s has no squeeze-and-excitation: its %d tensors start with open gates", path, len(gates))
        weights = replace(weights, tensors={**gates, **weights.tensors})
    load_weights(network, select_weights(network, weights, find_classifier(network)))


def _open_gates(network: nn.Module) -> dict[str, Tensor]:
    """Set squeeze-and-excitation (Hu et al., CVPR 2018) to let all through: sigmoid(4) = 0.98, whatever the input."""
    gates = {name: tensor.clone() for name, tensor in network.state_dict().items() if _GATE in name}
    for name, tensor in gates.items():
        if ".conv_expand." in name:
            tensor.fill_(_OPEN if name.endswith("bias") else 0.0)
    return gates


def start_from(network: nn.Module, recipe: Recipe, classes: Sequence[str], checkpoint: Path) -> None:
    """Copy the weights of a checkpoint of ours; the classifier's only where the classes are the same.

    Raises:
        CheckpointError: If it cannot be loaded or is of another architecture.
    """
    source = load_checkpoint(checkpoint)
    if source.card.architecture != recipe.architecture:
        raise CheckpointError(
            f"expected weights of {recipe.architecture}; {checkpoint} holds {source.card.architecture}"
        )
    weights = source.network.state_dict()
    if source.card.classes != tuple(classes):
        classifier = find_classifier(network)
        kept = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(classifier)}
        weights = {**weights, **kept}
    load_weights(network, weights)


def load_teachers(recipe: Recipe, classes: Sequence[str]) -> list[nn.Module]:
    """Load the recipe's teachers, frozen.

    Raises:
        CheckpointError: If one cannot be loaded.
        RecipeError: If one was trained for other classes or sees other inputs than the student.
    """
    teachers = []
    for path in recipe.teacher:
        checkpoint = load_checkpoint(Path(path))
        card, wanted = checkpoint.card, recipe.preprocessing()
        if card.classes != tuple(classes):
            raise RecipeError(f"teacher {path}: expected the classes {', '.join(classes)}")
        if (card.preprocessing.mean, card.preprocessing.std) != (wanted.mean, wanted.std):
            raise RecipeError(f"teacher {path}: expected the recipe's mean and std")
        teachers.append(checkpoint.network)
    return teachers


def copy_matching_weights(network: nn.Module, source: nn.Module) -> int:
    """Copy weights of the same name and shape, and smaller kernels into the middle of larger ones.

    Returns:
        The number of kernels copied.

    Raises:
        CheckpointError: If there was none.
    """
    theirs = source.state_dict()
    classifier = find_classifier(network)
    num_copied = 0
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            other = theirs.get(name)
            if other is None or name.startswith(classifier) or not _fits(tensor, other):
                continue
            margins = [(mine - its) // 2 for mine, its in zip(tensor.shape, other.shape, strict=True)]
            inner = tensor
            for axis, margin in enumerate(margins):
                inner = inner.narrow(axis, margin, other.shape[axis])
            if inner.shape != tensor.shape:
                tensor.zero_()
            inner.copy_(other)
            num_copied += other.ndim == 4
    if not num_copied:
        raise CheckpointError("nothing of the teacher's weights fits; leave start_from_teacher out")
    return num_copied


def _fits(tensor: Tensor, other: Tensor) -> bool:
    if tensor.shape == other.shape:
        return True
    kernels = tensor.ndim == other.ndim == 4 and tensor.shape[:2] == other.shape[:2]
    return kernels and all(
        mine - its >= 0 and (mine - its) % 2 == 0 for mine, its in zip(tensor.shape, other.shape, strict=True)
    )
