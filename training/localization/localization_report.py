"""Scores of heat maps, for a terminal and as files."""

from pathlib import Path

from training.localization.box_scores import BoxScore
from training.localization.localization import Localization
from training.pages.tables import align, format_interval
from training.pages.templates import create_environment, write_files

RESULT, TEXT, REPORT = "localization.json", "localization.txt", "localization.html"


def write_localization(result: Localization, out: Path) -> Path:
    """Write `localization.json`, `localization.txt` and `localization.html`, whose path is returned."""
    text = format_localization(result) + "\n"
    write_files(out, {RESULT: result.to_json(), TEXT: text, REPORT: render_localization(result)})
    return out / REPORT


def render_localization(result: Localization) -> str:
    """Write the page: all scores, and the best, the middle and the worst maps with their boxes."""
    environment = create_environment("training.localization")
    environment.filters |= {"interval": format_interval}
    return environment.get_template("localization.html").render(result=result)


def format_localization(result: Localization) -> str:
    """Write the pointing game and the energy inside the box of all maps as a table."""
    counts = ", ".join(f"{name} {result.correct[name]}/{count}" for name, count in result.images.items())
    table = [["", "mean", *result.rows[0].classes]]
    for row in result.rows:
        scores = (row.mean, *row.classes.values())
        table.append([f"{row.method} {row.layer or ''}", *(_format_score(score) for score in scores)])
    layers = list(result.randomization[0].rank_correlation) if result.randomization else []
    similarity = [["", *layers]]
    similarity += [
        [step.module, *(f"{step.rank_correlation[layer]:.2f}" for layer in layers)] for step in result.randomization
    ]
    rows = [
        f"part {result.part}: {sum(result.images.values())} images of {result.groups} groups; correct: {counts}",
        "pointing game with 95 % interval over groups | of the correct only | energy inside the box",
        align(table),
        f"selected layer: {result.selected_layer}",
        "rank correlation of Grad-CAM maps with those of the network randomised from the top down to:",
        align(similarity),
    ]
    return "\n".join(rows)


def _format_score(score: BoxScore) -> str:
    interval = score.pointing_game
    correct = "-" if score.pointing_game_correct is None else f"{score.pointing_game_correct.value:.3f}"
    return (
        f"{interval.value:.3f} [{interval.low:.2f}, {interval.high:.2f}] | {correct} | {score.energy_inside.value:.3f}"
    )
