"""How weights came about, from their card: in sentences, and as the commands that make them again."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from training.recipe_files import list_changes
from training.run import RUNS

_OPTIONS = {  # of `fit`, by the hashes of the files that a card names
    "groups_sha256": "--groups groups.csv",
    "boxes_sha256": "--boxes boxes.csv",
    "coarse_sha256": "--coarse elsewhere.csv",
    "pretrained_file_sha256": "--pretrained-file imagenet.pth",
    "initial_weights_sha256": "--initial-weights initial.pth",
}


def describe_knowledge(architecture: str, training: Mapping[str, Any], subject: str = "It") -> list[str]:
    """Describe in sentences the starting weights and the teachers.

    Args:
        training: The `training` of a card.
        subject: The first words of each sentence.
    """
    recipe, teachers = training.get("recipe", {}), training.get("teachers", ())
    initial = training.get("initial_weights")
    sentences = []
    if initial:
        sentences.append(f"{subject} continued from the checkpoint {_name(initial)}.")
        sentences += describe_knowledge(initial["architecture"], initial["training"], "That checkpoint")
    elif recipe.get("pretrained"):
        file = training.get("sources", {}).get("pretrained_file_sha256")
        origin = f"in a file with the SHA-256 `{file}`" if file else f"those of {architecture} on timm's model hub"
        sentences.append(f"{subject} started from ImageNet weights, {origin}.")
    elif recipe:
        sentences.append(f"{subject} started from random weights: no ImageNet weights of {architecture} were read.")
    if teachers and recipe.get("start_from_teacher"):
        sentences.append(f"{subject} copied those of the first teacher's kernels that fit.")
    for teacher in teachers:
        sentences.append(f"{subject} was distilled from the teacher {_name(teacher)}.")
        its = teacher["training"]
        told = describe_knowledge(teacher["architecture"], its, "That teacher")
        sentences += told or ["That teacher's card does not say how it was trained."]
        if its.get("split") and its["split"] == training.get("split"):
            same = its.get("manifest_sha256") == training.get("manifest_sha256")
            sentences.append(f"That teacher was trained on the same {'scans' if same else 'split'}.")
    return sentences


def name_recipe(training: Mapping[str, Any]) -> str:
    """Name the recipe in the card's `training` with its epochs."""
    if "recipe" not in training:
        return "a recipe that their card does not name"
    recipe = training["recipe"]
    return f"{recipe['name']} ({sum(stage['epochs'] for stage in recipe['stages'])} epochs)"


def list_commands(training: Mapping[str, Any], recipe: str, runs: Path = RUNS) -> list[str]:
    """List the commands that make weights again, those of their teachers first.

    Args:
        training: From the card.
        recipe: The weights' own; those of teachers are the names of their files, as `fit` gives them.
        runs: The folder for all of them.
    """
    teachers = training.get("teachers", ())
    stems = [PurePath(teacher["file"]).stem for teacher in teachers]
    commands = [
        command
        for teacher, stem in zip(teachers, stems, strict=True)
        for command in list_commands(teacher["training"], stem, runs)
    ]
    parts = [f"python -m training fit DIR --recipe {recipe} --split {training.get('split', 'official')}"]
    parts += list_options(training)
    if runs != RUNS:
        files = [f"{runs}/{stem}/{teacher['file']}" for teacher, stem in zip(teachers, stems, strict=True)]
        parts += [f"--teacher '{json.dumps(files)}'"] if files else []
        parts.append(f"--out {runs}/{recipe}")
    return [*dict.fromkeys(commands), " ".join(parts)]


def list_options(training: Mapping[str, Any]) -> list[str]:
    """List the options that name the files which weights learnt from, and those of their recipe's changed values."""
    files = [option for source, option in _OPTIONS.items() if source in training.get("sources", {})]
    return [*files, *(list_changes(training["recipe"]) if "recipe" in training else ())]


def _name(weights: Mapping[str, Any]) -> str:
    return f"`{weights['file']}` ({weights['architecture']} {weights['version']}), SHA-256 `{weights['sha256']}`"
