"""The model card's page, written from what was measured: no number in it is typed by hand."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from model.engines.loading import load_engine
from training.data.external_scans import EXTERNAL_TEST
from training.errors import DataError
from training.evaluation.evaluation import GROUPED_TEST
from training.evaluation.provenance import describe_knowledge, list_commands, list_options, name_recipe
from training.pages import columns
from training.pages.templates import create_environment
from training.run import RUNS, SHIPPED_CHECKPOINT


@dataclass(frozen=True)
class ModelCardOptions:
    """The files of a page; parts of it whose file is not given are left out.

    Attributes:
        evaluation: JSON of `evaluate` about the weights.
        checkpoint: The weights, `.pth` or `.onnx`.
        official_evaluation: JSON of `evaluate` with weights trained on the official Training folder.
        cross_validation: JSON of `cross-validate`.
        localization: JSON of `localize`: heat maps against boxes.
        audit: JSON of `audit`, its summary: copies in the data.
    """

    evaluation: Path
    checkpoint: Path = SHIPPED_CHECKPOINT
    official_evaluation: Path | None = None
    cross_validation: Path | None = None
    localization: Path | None = None
    audit: Path | None = None


def write_model_card(options: ModelCardOptions) -> str:
    """Write the page as Markdown with Hugging Face's metadata in front.

    Raises:
        CheckpointError: If the weights cannot be loaded.
        DataError: If a file cannot be read, or is about other weights.
    """
    checkpoint, official_file = options.checkpoint, options.official_evaluation
    classifier = Classifier(load_engine(checkpoint))
    measured = _read_json(options.evaluation)
    _check_identity(measured, options.evaluation, classifier.identity.sha256)
    splits = dict(measured["splits"])
    if official_file:  # the columns about Testing are of weights that have not seen it
        theirs = _read_json(official_file)["splits"]
        splits |= {name: split for name, split in theirs.items() if name not in (GROUPED_TEST, EXTERNAL_TEST)}
    training = classifier.card.training
    others = [name for name, split in splits.items() if split["checkpoint"]["sha256"] != classifier.identity.sha256]
    official = splits[others[0]]["training"] if others else {}
    recipe = _flatten(training.get("recipe", {}))
    official_changes = _find_changes(_flatten(official.get("recipe", {})), recipe)
    folds = _read_section(options.cross_validation, "cross-validate", "sources")
    files = [checkpoint.with_suffix(suffix) for suffix in (".pth", ".onnx")]
    environment = create_environment("training.evaluation", autoescape=False, keep_trailing_newline=True)
    environment.filters |= {"interval": format_interval, "value": format_value}
    environment.tests["non_commercial"] = excludes_commerce
    return environment.get_template("model_card.md").render(
        card=classifier.card.model_dump(mode="json"),
        gaps=classifier.card.list_gaps(),
        identity=asdict(classifier.identity),
        files={file.name: hash_file(file) for file in files if file.is_file()},
        checkpoint=checkpoint.name,
        recipe=recipe,
        evaluation=measured,
        elsewhere=measured.get("elsewhere"),
        shift=measured.get("shift"),
        splits={name: splits[name] for name in columns.TITLES if name in splits},
        others=others,
        main=GROUPED_TEST if GROUPED_TEST in splits else next(iter(splits)),
        names=columns,
        knowledge=describe_knowledge(classifier.card.architecture, training),
        commands=_list_commands(training) + _list_commands(official, Path("official")),
        official_changes=official_changes if name_recipe(official) == name_recipe(training) else {},
        official_recipe=official.get("recipe", {}).get("name"),
        name_recipe=name_recipe,
        cross_validation=folds,
        fold_options=list_options(folds) if folds else [],
        fold_changes=_find_changes(_flatten(folds["recipe"]), recipe) if folds else {},
        localization=_read_section(options.localization, "localize", "rows"),
        audit=_read_section(options.audit, "audit", "images"),
    )


def format_interval(interval: Mapping[str, float] | None, digits: int = 3) -> str:
    """Write a value with its interval; a hyphen where it is not defined."""
    if interval is None:
        return "-"
    return f"{interval['value']:.{digits}f} ({interval['low']:.{digits}f} to {interval['high']:.{digits}f})"


def format_value(value: object) -> str:
    """Write a table cell: an interval, a number or text."""
    if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
        return format_interval(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def excludes_commerce(licence: str) -> bool:
    """Tell whether a licence, as its source states it, is for use without commercial gain alone."""
    return re.search(r"\bNC\b|\bnon-?commercial\b|\bresearch\b.* only\b", licence, re.IGNORECASE) is not None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: expected JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object")
    return content


def _read_section(path: Path | None, command: str, key: str) -> dict[str, Any] | None:
    """Read what a command has written, where it was asked for."""
    if path is None:
        return None
    content = _read_json(path)
    if key not in content:
        raise DataError(f"{path}: expected what `{command}` writes; it holds no {key}")
    return content


def _check_identity(measured: Mapping[str, Any], path: Path, sha256: str) -> None:
    if not measured.get("splits"):
        raise DataError(f"{path}: expected what `evaluate --json` writes; it holds no splits")
    found = measured["checkpoint"]["sha256"]
    if found != sha256:
        raise DataError(f"{path} is about other weights: expected the SHA-256 {sha256}; found {found}")


def _list_commands(training: Mapping[str, Any], runs: Path = RUNS) -> list[str]:
    return list_commands(training, training["recipe"]["name"], runs) if "recipe" in training else []


def _find_changes(values: Mapping[str, str], reference: Mapping[str, str]) -> dict[str, str]:
    """Find the values that are not those of `reference`; "none" stands for one that is only there."""
    names = sorted(values.keys() | reference.keys())
    return {name: values.get(name, "none") for name in names if values.get(name) != reference.get(name)}


def _flatten(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            rows |= _flatten(value, f"{prefix}{name}.")
        elif name == "teacher":
            rows[name] = ", ".join(Path(file).name for file in value) or "none"
        elif name == "stages":
            rows[name] = json.dumps([{key: own for key, own in stage.items() if own is not None} for stage in value])
        else:
            rows[prefix + name] = json.dumps(value)
    return rows
