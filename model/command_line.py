"""The commands of `python -m model`: predictions without a server, and tools for weight files."""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.classifier import Classifier
from model.commands.predict import STOPPED, add_predict_options, predict_files
from model.commands.watch import add_watch_options, watch_folder
from model.engines.loading import DEFAULT_WEIGHTS, load_engine
from model.errors import CheckpointError, ModelError, OutputError
from model.host.outputs import check_file
from model.host.standard_streams import replace_closed_streams

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0; 1 after an expected error, logged in one line, or if an image could not be classified;
        2 for wrong usage; 130 when stopped.
    """
    closed = replace_closed_streams()
    options = _create_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    warnings.filterwarnings("ignore", module="PIL")  # remarks about tags that it passes over
    try:
        if "stdout" in closed and options.run is predict_files and options.output is None:
            raise OutputError("standard output is closed; name a file with --output")
        status: int = options.run(options)
    except ModelError as error:
        logger.error("error: %s", error)
        return 1
    except ModuleNotFoundError as error:
        logger.error("error: this command needs %s: install requirements.txt", error.name)
        return 1
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        logger.error("error: %s", ": ".join(str(part) for part in (error.filename, error.strerror) if part))
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return status


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description="Predict, and check or export weight files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = _add_command(
        commands, "predict", predict_files, "classify images; one row for each, as JSON Lines or CSV"
    )
    add_predict_options(predict)

    watch = _add_command(commands, "watch", watch_folder, "classify images that are put into a folder, until stopped")
    add_watch_options(watch)

    info = _add_command(commands, "info", _info, "show the card of a weight file")
    info.add_argument("weights", type=Path, nargs="?", default=DEFAULT_WEIGHTS, help="default %(default)s")

    export = _add_command(commands, "export", _export, "make the .onnx of a .pth, and compare the two")
    export.add_argument("source", type=Path, metavar="FILE.pth")
    export.add_argument("target", type=Path, metavar="FILE.onnx")
    export.add_argument(
        "--plain",
        action="store_true",
        help="for other runtimes, not for the service: inputs in; logits, features and the maps of all classes out",
    )

    verify = _add_command(commands, "verify", _verify, "load, self-test, and compare an .onnx with its .pth")
    verify.add_argument("weights", type=Path, nargs="+", metavar="FILE")
    return parser


def _add_command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(run=run)
    return parser


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _info(options: argparse.Namespace) -> int:
    engine = load_engine(options.weights)
    card = {"sha256": engine.sha256, **engine.card.describe(), "gaps": engine.card.list_gaps()}
    _write_line(json.dumps(card, indent=2, ensure_ascii=False))
    return 0


def _export(options: argparse.Namespace) -> int:
    check_file(options.target)
    from model.export import export_onnx

    export_onnx(options.source, options.target, plain=options.plain)
    logger.info("wrote %s", options.target)
    return 0


def _verify(options: argparse.Namespace) -> int:
    hashes, by_suffix = set(), {path.suffix: path for path in options.weights}
    for path in options.weights:
        classifier = Classifier.load(path)
        identity = classifier.identity
        _write_line(f"{path}: {identity.name} {identity.version} {identity.sha256}: self-test passed")
        for gap in classifier.card.list_gaps():
            _write_line(f"{path}: its weights lack {gap}")
        hashes.add(identity.sha256)
    if {".pth", ".onnx"} <= by_suffix.keys():
        if len(hashes) > 1:
            raise CheckpointError("expected files of the same weights; found different ones")
        from model.export import compare_engines

        compare_engines(by_suffix[".pth"], by_suffix[".onnx"])
        _write_line("both engines agree")
    return 0
