"""The history of weights, from their card: in sentences, and as the commands that make them again."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from training.run import RUNS


def describe_knowledge(architecture: str, training: Mapping[str, Any], subject: str = "It") -> list[str]:
    """Describe in sentences the starting weights and the teachers.

    Args:
        training: The `training` of a card.
        subject: The first words of each sentence.
    """
    recipe, sources = training.get("recipe", {}), training.get("sources", {})
    teachers = training.get("teachers", ())
    initial = sources.get("initial_weights_sha256") or training.get("initial_weights_sha256")
    forerunner = training.get("initial_weights")
    sentences = []
    if forerunner:
        name = f"`{forerunner['file']}` ({forerunner['architecture']} {forerunner['version']})"
        sentences.append(f"{subject} continued from the checkpoint {name}, SHA-256 `{forerunner['sha256']}`.")
        sentences += describe_knowledge(forerunner["architecture"], forerunner["training"], "That checkpoint")
    elif initial:
        sentences.append(f"{subject} started from a checkpoint of this project, SHA-256 `{initial}`.")
    elif recipe.get("pretrained"):
        file = sources.get("pretrained_file_sha256")
        origin = f"a file with the SHA-256 `{file}`" if file else "timm's model hub"
        sentences.append(f"{subject} started from {architecture}'s ImageNet weights, from {origin}.")
    elif recipe:
        sentences.append(f"{subject} started from random weights: no ImageNet weights of {architecture} were read.")
    if teachers and recipe.get("start_from_teacher"):
        sentences.append(f"{subject} copied those of the first teacher's kernels that fit.")
    known = {teacher["sha256"] for teacher in forerunner["training"].get("teachers", ())} if forerunner else set()
    for teacher in teachers:
        if teacher["sha256"] in known:
            sentences.append(f"{subject} learned from the same teacher, SHA-256 `{teacher['sha256']}`.")
            continue
        name = f"the teacher `{teacher['file']}` ({teacher['architecture']} {teacher['version']})"
        sentences.append(f"{subject} was distilled from {name}, SHA-256 `{teacher['sha256']}`.")
        its = teacher["training"]
        told = describe_knowledge(teacher["architecture"], its, "That teacher")
        sentences += told or ["That teacher's card does not say how it was trained."]
        if its.get("split") and its["split"] == training.get("split"):
            same = its.get("manifest_sha256") == training.get("manifest_sha256")
            sentences.append(f"That teacher was trained on the same {'scans' if same else 'split'}.")
    return sentences


def describe_runs(training: Mapping[str, Any]) -> str:
    """Name the recipes in the card's `training` that weights went through, in order, with the epochs of each."""
    if "recipe" not in training:
        return "a recipe that their card does not name"
    recipe, forerunner = training["recipe"], training.get("initial_weights")
    before = [describe_runs(forerunner["training"])] if forerunner else []
    epochs = sum(stage["epochs"] for stage in recipe["stages"])
    return ", then ".join([*before, f"{recipe['name']} ({epochs} epochs)"])


def list_commands(training: Mapping[str, Any], recipe: str, runs: Path = RUNS) -> list[str]:
    """List the commands that make weights again, those of teachers and of a forerunner first.

    Args:
        training: From the card.
        recipe: The weights' own; those of others are the names of their files, as `fit` gives them.
        runs: The folder for all of them.
    """
    teachers, forerunner = training.get("teachers", ()), training.get("initial_weights")
    needed = [*teachers, forerunner] if forerunner else teachers
    commands = [command for each in needed for command in list_commands(each["training"], _stem(each), runs)]
    sources = training.get("sources", {})
    parts = [f"python -m training fit DIR --recipe {recipe} --split {training.get('split', 'official')}"]
    for source, option in (
        ("groups_sha256", "--groups groups.csv"),
        ("boxes_sha256", "--boxes boxes.csv"),
        ("pretrained_file_sha256", "--pretrained-file imagenet.pth"),
    ):
        if source in sources:
            parts.append(option)
    if forerunner:
        parts.append(f"--initial-weights {_place(forerunner, runs)}")
    if runs != RUNS:
        parts += [f"--teacher '{json.dumps([_place(each, runs) for each in teachers])}'"] if teachers else []
        parts.append(f"--out {runs}/{recipe}")
    return [*dict.fromkeys(commands), " ".join(parts)]


def _place(weights: Mapping[str, Any], runs: Path) -> str:
    return f"{runs}/{_stem(weights)}/{weights['file']}"


def _stem(weights: Mapping[str, Any]) -> str:
    return PurePath(weights["file"]).stem
