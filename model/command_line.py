"""The commands of `python -m model`: predictions without a server, and care for weight files."""

import argparse
import csv
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from model.classifier import Classifier
from model.engine import DEFAULT_WEIGHTS, load_engine
from model.errors import CheckpointError, ImagesNotFoundError, InputError, ModelError
from model.volume_rows import predict_volume
from model.volume_slices import DEFAULT_SLICES, SliceChoice, is_volume, parse_slices

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0; 1 after an expected error told in one line, or if an image could not be judged;
        2 for wrong usage; 130 when stopped.
    """
    options = _create_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        status: int = options.run(options)
    except ModelError as error:
        logger.error("error: %s", error)
        return 1
    except ModuleNotFoundError as error:
        logger.error("error: this needs %s, which serving does not: install requirements.txt", error.name)
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        logger.error("error: %s: %s", error.filename, error.strerror)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description="Predict, and look after weight files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = _add_command(commands, "predict", _predict, "classify images; one row each, JSON Lines or CSV")
    predict.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="image, or folder with images")
    predict.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="default %(default)s")
    predict.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default %(default)s")
    predict.add_argument(
        "--slice",
        type=parse_slices,
        default=DEFAULT_SLICES,
        metavar="PLANE:WHICH",
        help="of NIfTI volumes: axial, coronal or sagittal; middle, all, or an index from 0; default %(default)s",
    )
    predict.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")

    info = _add_command(commands, "info", _info, "show the card of a weight file")
    info.add_argument("weights", type=Path, nargs="?", default=DEFAULT_WEIGHTS, help="default %(default)s")

    export = _add_command(commands, "export", _export, "make the .onnx of a .pth, and compare the two")
    export.add_argument("source", type=Path, metavar="FILE.pth")
    export.add_argument("target", type=Path, metavar="FILE.onnx")

    verify = _add_command(commands, "verify", _verify, "load, self-test, and compare an .onnx with its .pth")
    verify.add_argument("weights", type=Path, nargs="+", metavar="FILE")
    return parser


def _add_command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(run=run)
    return parser


def _predict(options: argparse.Namespace) -> int:
    classifier = Classifier.load(options.weights)
    files = list(_find_files(options.paths))
    if not files:
        raise ImagesNotFoundError("there is no file in the folders named")
    num_failed = 0
    with _open_output(options.output) as output:
        write = _create_writer(output, options.format, classifier.card.classes)
        for file in tqdm(files, "predicting", unit="image", disable=None):
            for row in _predict_rows(classifier, file, options.slice):
                num_failed += "error" in row
                write(row)
    if num_failed:
        logger.error("%d of %d images could not be judged; their rows say why", num_failed, len(files))
    return 1 if num_failed else 0


def _find_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        else:
            yield path


def _predict_rows(classifier: Classifier, file: Path, slices: SliceChoice) -> Iterator[dict[str, Any]]:
    if is_volume(file):
        return predict_volume(classifier, file, slices)
    return iter((_predict_file(classifier, file),))


def _predict_file(classifier: Classifier, file: Path) -> dict[str, Any]:
    try:
        return {"file": str(file), **asdict(classifier.predict(file.read_bytes()))}
    except InputError as error:
        return {"file": str(file), "error": str(error)}
    except OSError as error:
        return {"file": str(file), "error": error.strerror or "cannot be read"}


def _open_output(path: Path | None) -> AbstractContextManager[TextIO]:
    return path.open("w", encoding="utf-8", newline="") if path else nullcontext(sys.stdout)


def _create_writer(output: TextIO, form: str, classes: Sequence[str]) -> Callable[[dict[str, Any]], None]:
    if form == "jsonl":
        return lambda row: _write_line(output, json.dumps(row, ensure_ascii=False))
    columns = [
        "file",
        "prediction",
        "confidence",
        *(f"p_{name}" for name in classes),
        "prediction_set",
        "review",
        "error",
    ]
    writer = csv.DictWriter(output, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        probabilities = {f"p_{name}": value for name, value in row.get("probabilities", {}).items()}
        writer.writerow({**row, **probabilities, **_flatten_reliability(row)})
        output.flush()

    return write


def _flatten_reliability(row: dict[str, Any]) -> dict[str, str]:
    return {
        "prediction_set": " ".join(row.get("prediction_set") or ()),
        "review": (row.get("review") or {}).get("level", ""),
    }


def _write_line(output: TextIO, text: str) -> None:
    output.write(text + "\n")
    output.flush()


def _info(options: argparse.Namespace) -> int:
    engine = load_engine(options.weights)
    card = {"sha256": engine.sha256, **engine.card.describe()}
    _write_line(sys.stdout, json.dumps(card, indent=2, ensure_ascii=False))
    return 0


def _export(options: argparse.Namespace) -> int:
    from model.export import export_onnx

    export_onnx(options.source, options.target)
    logger.info("wrote %s", options.target)
    return 0


def _verify(options: argparse.Namespace) -> int:
    by_suffix: dict[str, Path] = {}
    hashes = set()
    for path in options.weights:
        classifier = Classifier.load(path)
        identity = classifier.identity
        _write_line(sys.stdout, f"{path}: {identity.name} {identity.version} {identity.sha256}: self-test passed")
        by_suffix[path.suffix] = path
        hashes.add(identity.sha256)
    if {".pth", ".onnx"} <= by_suffix.keys():
        if len(hashes) > 1:
            raise CheckpointError("the files hold different weights")
        from model.export import compare_engines

        compare_engines(by_suffix[".pth"], by_suffix[".onnx"])
        _write_line(sys.stdout, "both engines agree")
    return 0
