"""What a run was started with: `run.json`, from which `--resume RUN` takes all that is not typed again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.host.atomic_file import write_file
from training.errors import RecipeError, RunError
from training.recipe import Recipe, parse_recipe

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunStart:
    """Command, recipe and options of a run.

    Attributes:
        command: "fit", "cross-validate", or "" for one fold of the latter.
        options: Plain types, by the names of fields; paths are absolute.
    """

    command: str
    recipe: Recipe
    options: dict[str, Any]


def save_start(folder: Path, start: RunStart) -> None:
    """Write `run.json`, whole or not at all."""
    content = {"command": start.command, "recipe": start.recipe.model_dump(mode="json"), "options": start.options}
    write_file(folder / RUN_FILE, json.dumps(content, indent=2).encode() + b"\n")


def load_start(folder: Path, command: str) -> RunStart:
    """Read with what a run of `command` was started.

    Raises:
        RunError: If the folder holds no run of this command.
    """
    path = folder / RUN_FILE
    try:
        content = json.loads(path.read_bytes())
        start = RunStart(content["command"], parse_recipe(content["recipe"]), dict(content["options"]))
    except OSError as error:
        raise RunError(f"nothing to resume: {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, RecipeError) as error:
        raise RunError(f"cannot resume from {path}: it is not the start of a run") from error
    if start.command != command:
        holds = f"a run of {start.command}" if start.command else "one fold of a cross-validation"
        raise RunError(f"cannot resume {command} from {folder}: it holds {holds}")
    return start
