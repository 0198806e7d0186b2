"""An evaluation as one HTML file that needs nothing else: tables, plots, and the mistakes with their heat maps."""

from tqdm import tqdm

from model.card import Interval
from training.evaluation.evaluation import HIGH_CONFIDENCE, Evaluation, SplitEvaluation
from training.evaluation.evaluation_file import MAX_EXAMPLES, relative_path
from training.evaluation.mistakes import Mistake
from training.evaluation.pictures import draw_explained
from training.evaluation.plots import SIDE, reliability_bars, roc_lines
from training.evaluation.provenance import describe_runs
from training.metrics.intervals import WilsonInterval
from training.pages import columns
from training.pages.templates import create_environment
from training.robustness.shift_report import draw_shift

MAX_CONFIDENT_MISTAKES = 24  # shown of a split: a report of three splits stays below 2 MB


def render_report(evaluation: Evaluation) -> str:
    """Write the report; it holds no link to anything outside itself.

    Raises:
        InputError: If a scan can no longer be judged.
    """
    environment = create_environment("training.evaluation")
    environment.filters |= {"interval": format_interval, "wilson": format_wilson}
    environment.globals |= {"relative_path": relative_path, "describe_runs": describe_runs}
    environment.globals |= {"roc_lines": roc_lines, "bars": reliability_bars}
    return environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        classes=evaluation.classes,
        splits=evaluation.splits,
        pictures=_draw_pictures(evaluation),
        names=columns,
        shift=evaluation.shift,
        shift_svg=evaluation.shift and draw_shift(evaluation.shift),
        side=SIDE,
        high_confidence=HIGH_CONFIDENCE,
        max_confident=MAX_CONFIDENT_MISTAKES,
        max_examples=MAX_EXAMPLES,
    )


def format_interval(interval: Interval | None, digits: int = 3) -> str:
    """Write a value with its interval; a hyphen where it is not defined."""
    if interval is None:
        return "-"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def format_wilson(interval: WilsonInterval | None) -> str:
    """Write a proportion as counts with Wilson's interval; nothing for what is none."""
    if interval is None:
        return ""
    return f"{interval.count} of {interval.total}; Wilson {interval.low:.3f} to {interval.high:.3f}"


def _draw_pictures(evaluation: Evaluation) -> dict[tuple[str, Mistake], str]:
    """Draw every mistake that is shown, by the split's name and the mistake; one in two splits is drawn once."""
    drawn: dict[tuple[str, Mistake], str] = {}
    pictures = {}
    wanted = [(split, mistake) for split in evaluation.splits for mistake in _shown(split)]
    for split, mistake in tqdm(wanted, "drawing", unit="scan", leave=False, disable=None):
        key = (split.classifier.identity.sha256, mistake)
        if key not in drawn:
            drawn[key] = draw_explained(split.classifier, mistake.scan.path)
        pictures[split.name, mistake] = drawn[key]
    return pictures


def _shown(split: SplitEvaluation) -> list[Mistake]:
    examples = [mistake for pair in split.confused_pairs for mistake in pair.mistakes[:MAX_EXAMPLES]]
    return [*split.confident_mistakes[:MAX_CONFIDENT_MISTAKES], *examples]
