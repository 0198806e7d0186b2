"""The commands of `python -m training`, made from the same data classes that the code uses."""

import argparse
import json
import logging
import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from model.errors import ModelError
from training.audit.audit import audit, format_headlines
from training.audit.audit_report import REPORT, write_audit
from training.comparison.comparison import ComparisonOptions, NamedCheckpoint, compare
from training.comparison.comparison_report import REPORT as COMPARISON
from training.comparison.comparison_report import format_table, update_document, write_comparison
from training.data.splits import SplitName
from training.description.statistics import format_statistics, measure_statistics
from training.description.statistics_report import REPORT as STATISTICS
from training.description.statistics_report import write_statistics
from training.errors import DataError, RecipeError, TrainingError
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import SECTIONS, write_model_card
from training.evaluation.provenance import RUNS
from training.evaluation.report import render_report
from training.evaluation.summary import format_evaluation
from training.fitting.cross_validation import RESULT_FILE, cross_validate, format_cross_validation
from training.fitting.fit import FitOptions, fit
from training.localization.localization import LocalizationOptions, localize
from training.localization.localization_report import format_localization, write_localization
from training.recipe import Augmentation, Recipe, load_recipe, recipe_names
from training.robustness.shift_report import format_shift

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0, 1 after an expected error told in one line, 2 for wrong usage, 130 when stopped.
    """
    options = _create_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    helps = os.environ.get("RANK", "0") != "0"  # one of several processes, whose first one talks
    logging.getLogger("training").setLevel(logging.WARNING if helps else logging.INFO)
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")  # it would report each of its retries; we say it in one line
    try:
        options.run(options)
    except (TrainingError, ModelError) as error:
        logger.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        logger.error("stopped; `fit --resume` continues after the last whole epoch")
        return 130
    return 0


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Make and judge checkpoints.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="train a network", description="Train by a recipe."))
    _add_cross_validate(
        commands.add_parser("cross-validate", help="train and test by folds", description="Fit a recipe on each fold.")
    )
    _add_evaluate(commands.add_parser("evaluate", help="measure weights", description="Measure on labelled scans."))
    _add_audit(commands.add_parser("audit", help="look for copies and shortcuts", description="Look at a data set."))
    _add_statistics(
        commands.add_parser("statistics", help="count and measure images", description="Describe a folder of images.")
    )
    _add_compare(
        commands.add_parser("compare", help="put checkpoints side by side", description="Judge several checkpoints.")
    )
    _add_localize(
        commands.add_parser("localize", help="measure heat maps", description="Compare heat maps with experts' boxes.")
    )
    _add_model_card(
        commands.add_parser("model-card", help="write the card's page", description="Write the model card from JSON.")
    )
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_fit)
    _add_run(parser)
    parser.add_argument(
        "--split",
        choices=get_args(SplitName),
        default=FitOptions.split,
        help="official: test on Testing/; grouped: divide all scans by patients or copies; common: test on both, train "
        "on what is for training in both; default %(default)s",
    )


def _add_cross_validate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_cross_validate)
    _add_run(parser)
    parser.add_argument("--folds", type=int, default=5, choices=range(2, 21), metavar="N", help="default %(default)s")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", type=Path, metavar="DIR", help="holds Training/CLASS/ and, to report on, Testing/CLASS/"
    )
    parser.add_argument("--recipe", default="efficientnet_b0", help=f"one of {', '.join(recipe_names())}")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default runs/RECIPE")
    parser.add_argument("--resume", action="store_true", help="continue the killed run in --out")
    parser.add_argument("--version", default=FitOptions.version, help="of the model, for its card; default %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--num-workers", type=_count, default=FitOptions.num_workers, help="default %(default)s")
    parser.add_argument(
        "--initial-weights",
        type=Path,
        metavar="FILE.pth",
        help="start from a checkpoint of ours: retrain it on your data",
    )
    parser.add_argument("--pretrained-file", type=Path, metavar="FILE", help="timm's weights, instead of the model hub")
    parser.add_argument("--groups", type=Path, metavar="CSV", help="path, group, and perhaps split, of every scan")
    parser.add_argument("--boxes", type=Path, metavar="CSV", help="path, x0, y0, x1, y1 of tumours")
    parser.add_argument("--mlflow", metavar="URI", help="record the run there: a server's address, or file:FOLDER")
    parser.add_argument("--wandb", metavar="PROJECT", help="record it there; WANDB_MODE=offline needs no account")
    values = parser.add_argument_group("values of the recipe", "written as in TOML; default: as in the recipe")
    _add_values(values, Recipe, "")
    _add_values(values, Augmentation, "augmentation.")


def _add_values(group: Any, settings: type[BaseModel], prefix: str) -> None:
    for name, field in settings.model_fields.items():
        if name not in ("name", "augmentation"):
            group.add_argument(
                f"--{prefix}{name}".replace("_", "-"),
                dest=f"value.{prefix}{name}",
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=(field.description or "").replace("%", "%%"),
            )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_evaluate)
    parser.add_argument("data", type=Path, metavar="DIR", help="holds Testing/CLASS/ and Training/CLASS/")
    parser.add_argument("--checkpoint", type=Path, default=Path("weights/efficientnet_b0.pth"), help=".pth or .onnx")
    parser.add_argument("--groups", type=Path, metavar="CSV", help="table with the columns path, group and split")
    parser.add_argument(
        "--official-checkpoint",
        type=Path,
        metavar="FILE",
        help="weights of the same recipe trained on the official Training folder; they judge Testing",
    )
    parser.add_argument("--prevalence", type=_share, metavar="P", help="of tumours, for PPV and NPV; in (0, 1)")
    parser.add_argument("--shift", action="store_true", help="judge the scans under simulated shifts too: takes long")
    parser.add_argument("--shift-scans", type=_count, metavar="N", help="shift at most so many, drawn at random")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write evaluation.html and evaluation.json there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON to this file")


def _add_model_card(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_model_card)
    parser.add_argument("--evaluation", type=Path, required=True, metavar="JSON", help="of `evaluate`")
    parser.add_argument("--checkpoint", type=Path, default=Path("weights/efficientnet_b0.pth"), help=".pth or .onnx")
    for name, text in SECTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="JSON", help=text)
    parser.add_argument("--out", type=Path, default=Path("weights/README.md"), help="default %(default)s")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_audit)
    parser.add_argument("data", type=Path, metavar="DIR", help="holds SPLIT/CLASS/ or CLASS/")
    parser.add_argument("--out", type=Path, default=Path("audit"), metavar="DIR", help="default %(default)s")


def _add_statistics(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_statistics)
    parser.add_argument("data", type=Path, metavar="DIR", help="holds SPLIT/CLASS/ or CLASS/")
    parser.add_argument("--out", type=Path, default=Path("statistics"), metavar="DIR", help="default %(default)s")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_compare)
    parser.add_argument("data", type=Path, metavar="DIR", help="holds Testing/CLASS/ and Training/CLASS/")
    parser.add_argument(
        "checkpoints",
        type=_named_checkpoint,
        nargs="+",
        metavar="[NAME=]FILE.pth",
        help="those of one recipe, trained on different splits, are one system",
    )
    parser.add_argument("--groups", type=Path, metavar="CSV", help="table with the columns path, group and split")
    parser.add_argument("--document", type=Path, metavar="FILE.md", help="put the table between the marks in it")
    parser.add_argument("--out", type=Path, default=Path("comparison"), metavar="DIR", help="default %(default)s")


def _add_localize(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_run_localize)
    parser.add_argument("data", type=Path, metavar="DIR", help="what the paths in the tables are relative to")
    parser.add_argument("--checkpoint", type=Path, default=Path("weights/efficientnet_b0.pth"), metavar="FILE.pth")
    parser.add_argument("--boxes", type=Path, required=True, metavar="CSV", help="columns path, x0, y0, x1, y1")
    parser.add_argument("--groups", type=Path, metavar="CSV", help="columns path, group and, perhaps, split")
    parser.add_argument(
        "--part",
        choices=("validation", "test", "all"),
        help="of the split, whose boxes are judged; default validation where --groups has a split, else all",
    )
    parser.add_argument("--layers", nargs="+", default=[], metavar="LAYER", help="default: those that are usual")
    parser.add_argument("--num-scans", type=_count, metavar="N", help="at most so many of a class, drawn at random")
    parser.add_argument("--out", type=Path, default=Path("localization"), metavar="DIR", help="default %(default)s")


def _run_localize(options: argparse.Namespace) -> None:
    result = localize(
        LocalizationOptions(
            data=options.data,
            checkpoint=options.checkpoint,
            boxes=options.boxes,
            groups=options.groups,
            part=options.part,
            layers=tuple(options.layers),
            num_scans=options.num_scans,
        )
    )
    sys.stdout.write(format_localization(result) + "\n")
    logger.info("wrote %s", write_localization(result, options.out))


def _run_fit(options: argparse.Namespace) -> None:
    recipe = _read_recipe(options)
    report = fit(recipe, replace(_read_fit_options(options, recipe.name), split=options.split))
    training = report.summary["training"]
    loss = training["validation_loss"]
    logger.info("kept epoch %d%s", training["best_epoch"], "" if loss is None else f": validation loss {loss:.4f}")
    for split, metrics in report.summary["metrics"].items():
        accuracy = metrics["accuracy"]
        logger.info("%s: accuracy %.4f [%.4f, %.4f]", split, accuracy["value"], accuracy["low"], accuracy["high"])
    logger.info("wrote %s and %s", report.checkpoint, report.exported)


def _run_evaluate(options: argparse.Namespace) -> None:
    evaluation = evaluate(
        EvaluationOptions(
            data=options.data,
            checkpoint=options.checkpoint,
            groups=options.groups,
            official_checkpoint=options.official_checkpoint,
            prevalence=options.prevalence,
            shift=options.shift,
            num_shifted_scans=options.shift_scans,
        )
    )
    sys.stdout.write(format_evaluation(evaluation) + "\n")
    if evaluation.shift:
        sys.stdout.write("\n" + format_shift(evaluation.shift) + "\n")
    text = json.dumps(describe_evaluation(evaluation), indent=2, ensure_ascii=False) + "\n"
    contents = {options.json: text} if options.json else {}
    if options.out:
        contents[options.out / "evaluation.json"] = text
        contents[options.out / "evaluation.html"] = render_report(evaluation)
    for path, content in contents.items():
        _write_text(path, content)


def _run_model_card(options: argparse.Namespace) -> None:
    sections = {name: path for name in SECTIONS if (path := getattr(options, name))}
    _write_text(options.out, write_model_card(options.checkpoint, options.evaluation, sections))


def _write_text(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    logger.info("wrote %s", path)


def _run_audit(options: argparse.Namespace) -> None:
    found = audit(options.data, skip=options.out)
    write_audit(found, options.out)
    sys.stdout.write(format_headlines(found) + "\n")
    logger.info("wrote %s", options.out / REPORT)


def _run_statistics(options: argparse.Namespace) -> None:
    statistics = measure_statistics(options.data, skip=options.out)
    write_statistics(statistics, options.out)
    sys.stdout.write(format_statistics(statistics) + "\n")
    logger.info("wrote %s", options.out / STATISTICS)


def _run_compare(options: argparse.Namespace) -> None:
    comparison = compare(ComparisonOptions(options.data, tuple(options.checkpoints), options.groups))
    write_comparison(comparison, options.out)
    table = format_table(comparison)
    sys.stdout.write(table)
    if options.document:
        update_document(options.document, table)
    logger.info("wrote %s", options.out / COMPARISON)


def _run_cross_validate(options: argparse.Namespace) -> None:
    recipe = _read_recipe(options)
    fit_options = _read_fit_options(options, f"cross-validation/{recipe.name}")
    result = cross_validate(recipe, fit_options, options.folds)
    sys.stdout.write(format_cross_validation(result) + "\n")
    logger.info("wrote %s", fit_options.out / RESULT_FILE)


def _read_recipe(options: argparse.Namespace) -> Recipe:
    overrides = {
        key.removeprefix("value."): _parse_value(key, text)
        for key, text in vars(options).items()
        if key.startswith("value.")
    }
    return load_recipe(options.recipe, overrides)


def _read_fit_options(options: argparse.Namespace, name: str) -> FitOptions:
    return FitOptions(
        data=options.data,
        out=options.out or Path(RUNS) / name,
        resume=options.resume,
        version=options.version,
        device=options.device,
        num_workers=options.num_workers,
        initial_weights=options.initial_weights,
        pretrained_file=options.pretrained_file,
        groups=options.groups,
        boxes=options.boxes,
        mlflow=options.mlflow,
        wandb=options.wandb,
    )


def _parse_value(key: str, text: str) -> Any:
    """Read a value as TOML; what is no TOML is taken as a bare string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if any(mark in text for mark in "[]{}\"'\n"):
            raise RecipeError(f"{key.removeprefix('value.')}: expected a value as in TOML, found {text!r}") from error
        return text


def _named_checkpoint(text: str) -> NamedCheckpoint:
    name, separator, path = text.rpartition("=")
    return NamedCheckpoint(Path(path), name if separator else None)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("expected 0 or more")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("expected a number between 0 and 1")
    return number
