"""A cross-validation as text, and as files: numbers, and one page."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from training.cross_validation.cross_validation import CrossValidation
from training.evaluation.figures import draw_figures
from training.pages.columns import METRICS
from training.pages.pictures import render_svg
from training.pages.tables import align, format_interval
from training.pages.templates import create_environment, write_files

RESULT, REPORT = "cross_validation.json", "cross_validation.html"


def write_cross_validation(result: CrossValidation, out: Path) -> Path:
    """Write `cross_validation.json` and `cross_validation.html`, whose path is returned, or raise `DataError`."""
    content = {
        "recipe": result.recipe.model_dump(mode="json"),
        "sources": result.sources,
        "folds": [metrics.model_dump(mode="json") for metrics in result.folds],
        "pooled": result.pooled.model_dump(mode="json"),
    }
    write_files(out, {RESULT: json.dumps(content, indent=2) + "\n", REPORT: render_cross_validation(result)})
    return out / REPORT


def render_cross_validation(result: CrossValidation) -> str:
    """Write the page: every metric of every fold, and pictures of all predictions together."""
    environment = create_environment("training.cross_validation")
    environment.filters |= {"interval": format_interval}
    pictures = [render_svg(figure) for figure in draw_figures(result.outputs, result.classes).values()]
    return environment.get_template("cross_validation.html").render(
        result=result, summary=list(result.summarize()), titles=METRICS, pictures=[_draw_folds(result), *pictures]
    )


def format_cross_validation(result: CrossValidation) -> str:
    """Write mean and standard deviation over folds, and the pooled value, for a terminal."""
    title = f"{len(result.folds)} folds, {result.pooled.images} images of {result.pooled.groups} groups"
    rows = [["", "mean", "+- sd", "pooled, 95 % interval from a bootstrap over groups"]]
    for name, mean, spread, interval in result.summarize():
        rows.append([name, f"{mean:.4f}", f"{spread:.4f}", format_interval(interval, 4)])
    return title + "\n" + align(rows, 2)


def _draw_folds(result: CrossValidation) -> str:
    """Draw the accuracy of each fold with its interval, and the pooled one as a line."""
    figure = Figure(figsize=(4.5, 4.5), layout="tight")
    axes = figure.subplots()
    for number, fold in enumerate(result.folds, start=1):
        accuracy = fold.__pydantic_extra__["accuracy"]
        axes.plot([number, number], [accuracy.low, accuracy.high], color="#9cc3e6", linewidth=4)
        axes.plot(number, accuracy.value, "o", color="#0b63b5")
    axes.axhline(result.pooled.__pydantic_extra__["accuracy"].value, color="#15803d", linewidth=1, label="pooled")
    axes.set_xticks(range(1, len(result.folds) + 1))
    axes.set(xlabel="fold", ylim=(0, 1.02))
    axes.set_title("accuracy, 95 % interval over groups", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    return render_svg(figure)
