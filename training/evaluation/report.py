"""An evaluation as one HTML file: tables, plots, and the mistakes with their heat maps."""

import io
from pathlib import Path

from PIL import Image

from model.classifier import Classifier
from model.drawing.overlay import View
from model.host.progress import Progress
from model.scan_files import read_file
from training.evaluation.evaluation import HIGH_CONFIDENCE, Evaluation, SplitEvaluation
from training.evaluation.evaluation_file import MAX_EXAMPLES, relative_path
from training.evaluation.mistakes import Mistake
from training.evaluation.plots import SIDE, roc_lines
from training.evaluation.provenance import name_recipe
from training.metrics.intervals import WilsonInterval
from training.pages import columns
from training.pages.pictures import encode_picture
from training.pages.tables import format_interval
from training.pages.templates import create_environment
from training.robustness.shift_report import draw_shift

_SIDE_PIXELS = 160  # of one of the two halves
MAX_CONFIDENT_MISTAKES = 24  # shown of a split: a report of three splits stays below 2 MB


def render_report(evaluation: Evaluation) -> str:
    """Write the report; it holds no link to anything outside itself.

    Raises:
        InputError: If a scan can no longer be classified.
    """
    environment = create_environment("training.evaluation")
    environment.filters |= {"interval": format_interval, "wilson": format_wilson}
    environment.globals |= {"relative_path": relative_path, "name_recipe": name_recipe}
    environment.globals |= {"roc_lines": roc_lines}
    return environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        classes=evaluation.classes,
        splits=evaluation.splits,
        measured={name for split in evaluation.splits for name in split.metrics.__pydantic_extra__},
        pictures=_draw_pictures(evaluation),
        names=columns,
        shift=evaluation.shift,
        shift_svg=evaluation.shift and draw_shift(evaluation.shift),
        side=SIDE,
        high_confidence=HIGH_CONFIDENCE,
        max_confident=MAX_CONFIDENT_MISTAKES,
        max_examples=MAX_EXAMPLES,
    )


def format_wilson(interval: WilsonInterval | None) -> str:
    """Write a proportion as counts with Wilson's interval; nothing for what is none, or of none."""
    if interval is None or not interval.total:
        return ""
    return f"{interval.count} of {interval.total}; Wilson {interval.low:.3f} to {interval.high:.3f}"


def draw_explained(classifier: Classifier, path: Path) -> str:
    """Draw a scan and its heat map side by side as a `data:` address, (160, 320) pixels whatever the scan's shape."""
    file = classifier.visualize(read_file(path), view=View.SIDE_BY_SIDE).picture
    picture = Image.open(io.BytesIO(file)).convert("RGB").resize((2 * _SIDE_PIXELS, _SIDE_PIXELS))
    return encode_picture(picture)


def _draw_pictures(evaluation: Evaluation) -> dict[tuple[str, Mistake], str]:
    """Draw every mistake that is shown, by the split's name and the mistake; one in two splits is drawn once."""
    drawn: dict[tuple[str, Mistake], str] = {}
    pictures = {}
    wanted = [(split, mistake) for split in evaluation.splits for mistake in _shown(split)]
    for split, mistake in Progress(wanted, "drawing", unit="scan", leave=False):
        key = (split.classifier.identity.sha256, mistake)
        if key not in drawn:
            drawn[key] = draw_explained(split.classifier, mistake.scan.path)
        pictures[split.name, mistake] = drawn[key]
    return pictures


def _shown(split: SplitEvaluation) -> list[Mistake]:
    examples = [mistake for pair in split.confused_pairs for mistake in pair.mistakes[:MAX_EXAMPLES]]
    return [*split.confident_mistakes[:MAX_CONFIDENT_MISTAKES], *examples]
