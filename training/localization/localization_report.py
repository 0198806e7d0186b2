"""What was measured on heat maps, for a terminal and as files."""

from pathlib import Path

from training.localization.box_scores import BoxScore
from training.localization.localization import Localization
from training.pages.templates import write_files

_RESULT = "localization.json"


def write_localization(result: Localization, out: Path) -> Path:
    """Write `localization.json` and the same as text, `localization.txt`, into a folder.

    Returns:
        The path of the JSON file.

    Raises:
        DataError: If the folder cannot be written to.
    """
    write_files(out, {"localization.txt": format_localization(result) + "\n", _RESULT: result.to_json()})
    return out / _RESULT


def format_localization(result: Localization) -> str:
    """Write the pointing game and the energy inside the box of all maps as a table."""
    counts = ", ".join(f"{name} {result.correct[name]}/{count}" for name, count in result.images.items())
    names = ("mean", *result.rows[0].classes)
    width = max(len(f"{row.method} {row.layer or ''}") for row in result.rows)
    rows = [
        f"part {result.part}: {sum(result.images.values())} images of {result.groups} groups; correct: {counts}",
        "pointing game with 95 % interval over groups | of the correct only | energy inside the box",
        " " * width + "".join(f"  {name:<32}" for name in names),
    ]
    for row in result.rows:
        scores = (row.mean, *row.classes.values())
        cells = "".join(f"  {_format_score(score):<32}" for score in scores)
        rows.append((f"{row.method} {row.layer or ''}".ljust(width) + cells).rstrip())
    rows += [f"selected layer: {result.selected_layer}", *_format_randomization(result)]
    return "\n".join(rows)


def _format_score(score: BoxScore) -> str:
    interval = score.pointing_game
    correct = "-" if score.pointing_game_correct is None else f"{score.pointing_game_correct.value:.3f}"
    return (
        f"{interval.value:.3f} [{interval.low:.2f}, {interval.high:.2f}] | {correct} | {score.energy_inside.value:.3f}"
    )


def _format_randomization(result: Localization) -> list[str]:
    layers = list(result.randomization[0].rank_correlation) if result.randomization else []
    rows = ["rank correlation of Grad-CAM maps with those of the network randomised from the top down to:"]
    rows.append(" " * 20 + "".join(f"  {layer:>22}" for layer in layers))
    for step in result.randomization:
        values = "".join(f"  {step.rank_correlation[layer]:>22.2f}" for layer in layers)
        rows.append(f"{step.module:<20}{values}")
    return rows
