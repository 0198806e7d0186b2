"""The command line of `python -m training`: words to a command, and errors to an exit status."""

import io
import logging
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import tyro
from tyro.conf import DisallowNone, FlagCreatePairsOff

from model.errors import ModelError
from model.host.outputs import check_file, check_folder
from model.host.progress import Progress
from model.host.standard_streams import replace_closed_streams
from training.commands import (
    Audit,
    Calibrate,
    Command,
    Compare,
    CrossValidate,
    Evaluate,
    Fit,
    Localize,
    Statistics,
    WriteModelCard,
)
from training.comparison.comparison_report import split_document
from training.errors import Terminated, TrainingError, UsageError
from training.fitting.options import FitOptions, restore_options
from training.fitting.run_file import RUN_FILE, load_start
from training.recipe_files import load_recipe
from training.recipe_options import RECIPE_OPTIONS
from training.run import RUNS

logger = logging.getLogger(__name__)

_DEFAULT_RECIPE = "efficientnet_b0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0, 1 after an expected error, 2 for wrong usage, 130 when stopped by SIGINT, 143 by SIGTERM.
    """
    replace_closed_streams()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    warnings.filterwarnings("ignore", module="PIL")  # remarks about tags that it passes over
    is_main_process = os.environ.get("RANK", "0") == "0"
    for name in ("training", Progress.__module__):
        logging.getLogger(name).setLevel(logging.INFO if is_main_process else logging.WARNING)
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")  # it would report each of its retries; we log one line
    handler = signal.signal(signal.SIGTERM, _terminate)
    command: Command | None = None
    try:
        command = parse_command(sys.argv[1:] if arguments is None else arguments)
        _check_outputs(command)
        command.run()
    except UsageError as error:
        logger.error("error: %s", error)
        return 2
    except (TrainingError, ModelError) as error:
        logger.error("error: %s", error)
        return 1
    except OSError as error:
        logger.error("error: %s", ": ".join(str(part) for part in (error.filename, error.strerror) if part) or error)
        return 1
    except KeyboardInterrupt as stop:
        logger.error("stopped%s", _name_way_on(command))
        return 143 if isinstance(stop, Terminated) else 130
    finally:
        signal.signal(signal.SIGTERM, handler)
    return 0


def _check_outputs(command: Command) -> None:
    """Raise the `OSError` or `DataError` that writing would, before any work."""
    for name in ("out", "json", "document"):
        path: Path | None = getattr(command, name, None)
        if path is not None:
            (check_folder if name == "out" and not isinstance(command, WriteModelCard) else check_file)(path)
    if isinstance(command, Compare) and command.document:
        split_document(command.document)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _name_way_on(command: Command | None) -> str:
    if not isinstance(command, FitOptions) or not (command.out / RUN_FILE).exists():
        return ""
    name = "cross-validate" if isinstance(command, CrossValidate) else "fit"
    resume = shlex.join(["--resume", str(command.out)])
    return f"; `python -m training {name} {resume}` goes on after the last whole epoch"


def parse_command(arguments: Sequence[str]) -> Command:
    """Read a command line; where it asks for help, print that and exit.

    Raises:
        RecipeError: If the recipe is unknown, or a value of it is out of its bounds.
        UsageError: If an option is unknown, missing or cannot be read.
    """
    report = io.StringIO()
    try:
        with redirect_stdout(report), redirect_stderr(report):
            return _parse(arguments)
    except SystemExit as stop:
        if not stop.code:
            _parse(arguments)  # again, to show its help
        raise UsageError(_join_lines(report.getvalue())) from None


def _parse(arguments: Sequence[str]) -> Command:
    arguments = _expand_resume(arguments)
    commands = _create_commands(arguments)
    descriptions = {name: str(type(command).__doc__).partition("\n")[0] for name, command in commands.items()}
    return tyro.cli(
        tyro.extras.subcommand_type_from_defaults(commands, descriptions, prefix_names=False),
        prog="python -m training",
        description="Make and measure checkpoints.",
        args=arguments,
        config=(FlagCreatePairsOff, DisallowNone),
        registry=RECIPE_OPTIONS,
    )


def _join_lines(box: str) -> str:
    """Write an error of tyro's, a title and blocks between rules, as one line without the help texts in it."""
    rows = [row for row in box.splitlines() if not row.startswith(" " * 10)]
    _, *blocks = re.split("-{4,}", "\n".join(rows))
    lines = [" ".join(block.partition("Got errors:")[0].split()) for block in blocks]
    kept = [line for line in lines if not line.startswith(("Argument helptext", "For full helptext"))]
    return re.sub(r"^Error parsing (\w+: )?", "", "; ".join(kept))


def _expand_resume(arguments: Sequence[str]) -> list[str]:
    """Write `--resume RUN` as `--resume --out RUN`."""
    words = [
        part for word in arguments for part in (("--resume", word[9:]) if word.startswith("--resume=") else (word,))
    ]
    run = words.index("--resume") + 1 if "--resume" in words else len(words)
    if run == len(words) or words[run].startswith("-"):
        return words
    if "--out" in words:
        raise UsageError("--resume RUN: the run stays in its folder; leave --out out")
    return [*words[:run], "--out", *words[run:]]


def _create_commands(arguments: Sequence[str]) -> dict[str, Command]:
    """Create all commands with their defaults: of `fit` the values of the recipe, or run to resume, that is named."""
    named = tyro.cli(_Named, args=arguments, return_unknown_args=True, add_help=False, config=(FlagCreatePairsOff,))[0]
    fit: dict[str, Any] = {"data": tyro.MISSING}
    folds = dict(fit)
    if named.resume and arguments[0] in ("fit", "cross-validate"):
        name = named.recipe or _DEFAULT_RECIPE
        out = named.out or (RUNS / name if arguments[0] == "fit" else RUNS / "cross-validation" / name)
        start = load_start(out, arguments[0])
        (fit if arguments[0] == "fit" else folds).update(restore_options(start.options))
        is_same = named.recipe in (None, start.recipe.name)
        recipe = start.recipe if is_same else load_recipe(named.recipe or "", {})
    else:
        recipe = load_recipe(named.recipe or _DEFAULT_RECIPE, {})
    data: Any = tyro.MISSING
    return {
        "fit": Fit(**fit, out=RUNS / recipe.name, recipe=recipe),
        "cross-validate": CrossValidate(**folds, out=RUNS / "cross-validation" / recipe.name, recipe=recipe),
        "calibrate": Calibrate(tyro.MISSING, data),
        "evaluate": Evaluate(),
        "audit": Audit(data),
        "statistics": Statistics(data),
        "compare": Compare(data, tyro.MISSING),
        "localize": Localize(data, tyro.MISSING),
        "model-card": WriteModelCard(tyro.MISSING),
    }


@dataclass(frozen=True)
class _Named:
    recipe: str | None = None
    out: Path | None = None
    resume: bool = False
