"""The commands of `python -m training`; their options are the fields of the data classes that the code takes."""

import io
import json
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
from typing import Annotated, Any

import tyro
from tyro.conf import DisallowNone, Fixed, FlagCreatePairsOff, Positional, SuppressFixed

from model.errors import ModelError
from model.host.outputs import check_file, check_folder
from model.host.progress import Progress
from model.host.standard_streams import replace_closed_streams
from training.audit.audit import audit, format_headlines
from training.audit.audit_report import write_audit
from training.calibration.recalibration import RecalibrationOptions, recalibrate
from training.comparison.comparison import ComparisonOptions, compare
from training.comparison.comparison_report import format_table, split_document, update_document, write_comparison
from training.cross_validation.cross_validation import cross_validate
from training.cross_validation.cross_validation_report import format_cross_validation, write_cross_validation
from training.data.splits import SplitName
from training.description.statistics import format_statistics, measure_statistics
from training.description.statistics_report import write_statistics
from training.errors import DataError, Terminated, TrainingError, UsageError
from training.evaluation.elsewhere import format_elsewhere
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import ModelCardOptions, write_model_card
from training.evaluation.report import render_report
from training.evaluation.summary import format_evaluation
from training.fitting.fit import FitOptions, fit, restore_options
from training.fitting.rehearsal import rehearse
from training.fitting.run_file import RUN_FILE, load_start
from training.localization.localization import LocalizationOptions, localize
from training.localization.localization_report import format_localization, write_localization
from training.pages.templates import write_files
from training.recipe import Recipe, load_recipe
from training.recipe_options import RECIPE_OPTIONS, format_recipe
from training.robustness.shift_report import format_shift
from training.run import RUNS

logger = logging.getLogger(__name__)

_DEFAULT_RECIPE = "efficientnet_b0"

RecipeValues = Annotated[Recipe, tyro.conf.arg(name="", help="Written as in TOML.")]


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


def _check_outputs(command: "Command") -> None:
    """Raise the `OSError` or `DataError` that writing would, before any work."""
    for name in ("out", "json", "document"):
        path: Path | None = getattr(command, name, None)
        if path is not None:
            (check_folder if name == "out" and not isinstance(command, WriteModelCard) else check_file)(path)
    if isinstance(command, Compare) and command.document:
        split_document(command.document)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _name_way_on(command: "Command | None") -> str:
    if not isinstance(command, FitOptions) or not (command.out / RUN_FILE).exists():
        return ""
    name = "cross-validate" if isinstance(command, CrossValidate) else "fit"
    resume = shlex.join(["--resume", str(command.out)])
    return f"; `python -m training {name} {resume}` goes on after the last whole epoch"


def parse_command(arguments: Sequence[str]) -> "Command":
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


def _parse(arguments: Sequence[str]) -> "Command":
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


def _create_commands(arguments: Sequence[str]) -> dict[str, "Command"]:
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


@dataclass(frozen=True, kw_only=True)
class Fit(FitOptions):
    """Train a network by a recipe.

    Attributes:
        dry_run: Only show the whole recipe, the scans of each class and part, and what time and memory a run takes.
    """

    dry_run: bool = False
    recipe: RecipeValues

    def run(self) -> None:
        """Train, and log the results."""
        if self.dry_run:
            sys.stdout.write(f"{format_recipe(self.recipe)}\n{rehearse(self.recipe, self)}")
            return
        report = fit(self.recipe, self)
        training = report.summary["training"]
        loss = training["validation_loss"]
        logger.info("kept epoch %d%s", training["best_epoch"], "" if loss is None else f": validation loss {loss:.4f}")
        for split, metrics in report.summary["metrics"].items():
            accuracy = metrics["accuracy"]
            logger.info("%s: accuracy %.4f [%.4f, %.4f]", split, accuracy["value"], accuracy["low"], accuracy["high"])
        logger.info("wrote %s and %s", report.checkpoint, report.exported)


@dataclass(frozen=True, kw_only=True)
class CrossValidate(FitOptions):
    """Train and test a recipe by folds of whole groups.

    Attributes:
        folds: How many, 2 to 20.
    """

    folds: int = 5
    split: SuppressFixed[Fixed[SplitName]] = "grouped"
    recipe: RecipeValues

    def __post_init__(self) -> None:
        """Check the bounds."""
        super().__post_init__()
        if not 2 <= self.folds <= 20:
            raise ValueError("--folds: expected 2 to 20")

    def run(self) -> None:
        """Fit every fold, print mean, spread and the pooled result, and write the page."""
        result = cross_validate(self.recipe, self, self.folds)
        sys.stdout.write(format_cross_validation(result) + "\n")
        logger.info("wrote %s", write_cross_validation(result, self.out))


@dataclass(frozen=True)
class Calibrate(RecalibrationOptions):
    """Calibrate weights that were trained before, here or with timm."""

    def run(self) -> None:
        """Write the weights, and log the results."""
        written = recalibrate(self)
        for split, metrics in written.card.metrics.items():
            accuracy = metrics.__pydantic_extra__["accuracy"]
            logger.info("%s: accuracy %.4f [%.4f, %.4f]", split, accuracy.value, accuracy.low, accuracy.high)
        logger.info("wrote %s and %s", written.checkpoint, written.exported)


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationOptions):
    """Measure weights on labelled scans.

    Attributes:
        out: Folder for `evaluation.html` and `evaluation.json`.
        json: File for the same JSON.
    """

    out: Path | None = None
    json: Path | None = None

    def run(self) -> None:
        """Measure, print the summary, and write what is asked for."""
        evaluation = evaluate(self)
        parts = (
            format_evaluation(evaluation) if evaluation.splits else "",
            format_shift(evaluation.shift) if evaluation.shift else "",
            format_elsewhere(evaluation.elsewhere.rows) if evaluation.elsewhere else "",
        )
        sys.stdout.write("\n\n".join(filter(None, parts)) + "\n")
        text = json.dumps(describe_evaluation(evaluation), indent=2, ensure_ascii=False) + "\n"
        if self.json:
            _write(self.json, text)
        if self.out:
            _write(self.out / "evaluation.json", text)
            _write(self.out / "evaluation.html", render_report(evaluation))


@dataclass(frozen=True)
class Audit:
    """Look for copies and shortcuts in a data set.

    Attributes:
        data: Holds SPLIT/CLASS/ or CLASS/.
        out: Folder for the report and the table of groups.
    """

    data: Positional[Path]
    out: Path = Path("audit")

    def run(self) -> None:
        """Look at every file, and write the report."""
        found = audit(self.data, skip=self.out)
        sys.stdout.write(format_headlines(found) + "\n")
        logger.info("wrote %s", write_audit(found, self.out))
        _fail_for(sum(not usable for usable in found.copies.usable))


@dataclass(frozen=True)
class Statistics:
    """Count and measure the images of a folder.

    Attributes:
        data: Holds SPLIT/CLASS/ or CLASS/.
        out: Folder for the report.
    """

    data: Positional[Path]
    out: Path = Path("statistics")

    def run(self) -> None:
        """Measure every image, and write the report."""
        statistics = measure_statistics(self.data, skip=self.out)
        sys.stdout.write(format_statistics(statistics) + "\n")
        logger.info("wrote %s", write_statistics(statistics, self.out))
        _fail_for(len(statistics.unusable))


@dataclass(frozen=True, kw_only=True)
class Compare(ComparisonOptions):
    """Put checkpoints side by side.

    Attributes:
        document: Markdown file with the marks between which the table goes.
        out: Folder for the page.
    """

    document: Path | None = None
    out: Path = Path("comparison")

    def run(self) -> None:
        """Measure every system, print the table, and write the page."""
        comparison = compare(self)
        logger.info("wrote %s", write_comparison(comparison, self.out))
        table = format_table(comparison)
        sys.stdout.write(table)
        if self.document:
            update_document(self.document, table)


@dataclass(frozen=True, kw_only=True)
class Localize(LocalizationOptions):
    """Compare heat maps with the boxes that experts drew.

    Attributes:
        out: Folder for the result.
    """

    out: Path = Path("localization")

    def run(self) -> None:
        """Measure the maps, and print and write the table."""
        result = localize(self)
        sys.stdout.write(format_localization(result) + "\n")
        logger.info("wrote %s", write_localization(result, self.out))


@dataclass(frozen=True, kw_only=True)
class WriteModelCard(ModelCardOptions):
    """Write the page of a model card from JSON.

    Attributes:
        out: The page, Markdown; by default beside the checkpoint, with its name.
    """

    out: Path | None = None

    def run(self) -> None:
        """Write the page."""
        _write(self.out or self.checkpoint.with_suffix(".md"), write_model_card(self))


Command = Fit | CrossValidate | Calibrate | Evaluate | Audit | Statistics | Compare | Localize | WriteModelCard


def _fail_for(num_unusable: int) -> None:
    if num_unusable:
        raise DataError(f"{num_unusable} files cannot be used; the report names them")


def _write(path: Path, text: str) -> None:
    write_files(path.parent, {path.name: text})
    logger.info("wrote %s", path)
