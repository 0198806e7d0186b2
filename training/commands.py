"""The commands of `python -m training`: what each prints and writes; their options are their fields."""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Fixed, Positional, SuppressFixed

from training.audit.audit import audit, format_headlines
from training.audit.audit_report import write_audit
from training.calibration.recalibration import RecalibrationOptions, recalibrate
from training.comparison.comparison import ComparisonOptions, compare
from training.comparison.comparison_report import format_table, update_document, write_comparison
from training.cross_validation.cross_validation import cross_validate
from training.cross_validation.cross_validation_report import format_cross_validation, write_cross_validation
from training.data.splits import SplitName
from training.description.statistics import format_statistics, measure_statistics
from training.description.statistics_report import write_statistics
from training.errors import DataError
from training.evaluation.elsewhere import format_elsewhere
from training.evaluation.evaluation import EvaluationOptions, evaluate
from training.evaluation.evaluation_file import describe_evaluation
from training.evaluation.model_card import ModelCardOptions, write_model_card
from training.evaluation.report import render_report
from training.evaluation.summary import format_evaluation
from training.fitting.fit import fit
from training.fitting.options import FitOptions
from training.fitting.rehearsal import rehearse
from training.localization.localization import LocalizationOptions, localize
from training.localization.localization_report import format_localization, write_localization
from training.pages.templates import write_files
from training.recipe import Recipe
from training.recipe_files import format_recipe
from training.robustness.shift_report import format_shift

logger = logging.getLogger(__name__)

RecipeValues = Annotated[Recipe, tyro.conf.arg(name="", help="Written as in TOML.")]


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
