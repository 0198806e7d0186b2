"""`python -m model predict`: images to rows, and pictures where they are asked for.

names -> files -> [read -> decode -> predict -> draw] -> rows, in the order of the files
                  on as many threads as there are cores
"""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from model.batch import map_in_order
from model.classifier import Classifier, Prediction
from model.cores import available_cores
from model.engine import DEFAULT_WEIGHTS
from model.errors import InputError
from model.image_files import FROM_INPUT, find_images, read_listing
from model.overlay_files import plan_overlays, save_overlay
from model.row_file import RowWriter, open_rows
from model.rows import CsvTable, JsonLines, Row, RowFormat, name_file
from model.volume_rows import predict_volume
from model.volume_slices import DEFAULT_SLICES, SliceChoice, is_volume, parse_slices

MAX_FILE_BYTES = 256 * 2**20  # the largest image that may be decoded has 128 MiB as 16-bit RGBA without compression
MAX_THREADS = 256
STOPPED = 130  # the exit status of what SIGINT has ended: 128 and the signal's number

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Choice:
    """What is judged of a file that holds several images."""

    frame: int | None
    slices: SliceChoice


@dataclass(frozen=True)
class _Task:
    """A file to judge, and where its picture goes."""

    path: Path
    overlay: Path | None
    choice: _Choice


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="PATH",
        help="image, folder with images at any depth, pattern ('scans/**/*.png'), "
        "or - for a list of files and folders on standard input, one a line",
    )
    parser.add_argument("--null", "-0", action="store_true", help="the list's paths end with a NUL, as of find -print0")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="default %(default)s")
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="appears when all is done, until then FILE.part; default: stdout"
    )
    parser.add_argument("--resume", action="store_true", help="keep the rows that FILE.part or FILE has, and go on")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="write the evidence over each scan as PNG too")
    parser.add_argument(
        "--frame", type=int, metavar="N", help="of DICOM files with several frames, from 1; default: the middle one"
    )
    parser.add_argument(
        "--slice",
        type=parse_slices,
        default=DEFAULT_SLICES,
        metavar="PLANE:WHICH",
        help="of NIfTI volumes: axial, coronal or sagittal; middle, all, or an index from 0; default %(default)s",
    )
    parser.add_argument(
        "--threads", type=_read_count, default=available_cores(), help="images judged at once; default %(default)s"
    )


def predict_files(options: argparse.Namespace) -> int:
    """Judge what the options name.

    Returns:
        The exit status: 0; 1 if a file could not be judged; 130 when stopped.
    """
    files = find_images(options.names, _read_input(options))
    overlays = plan_overlays(options.overlays, files) if options.overlays else [None] * len(files)
    choice = _Choice(options.frame, options.slice)
    tasks = [_Task(file.path, overlay, choice) for file, overlay in zip(files, overlays, strict=True)]
    # One core an image: the same answer to the last bit whatever runs beside it.
    classifier = Classifier.load(options.weights, num_threads=1)
    form: RowFormat = CsvTable(classifier.card.classes) if options.format == "csv" else JsonLines()
    try:
        with open_rows(options.output, form, classifier.identity.sha256, resume=options.resume) as writer:
            _write_rows(classifier, tasks, options.threads, writer)
    except KeyboardInterrupt:
        if options.output:
            logger.error("stopped; the same command with --resume goes on")
        return STOPPED
    if writer.num_failed:
        logger.error("%d of %d images could not be judged; their rows say why", writer.num_failed, len(files))
    return 1 if writer.num_failed else 0


def _read_input(options: argparse.Namespace) -> list[str]:
    return read_listing(sys.stdin.buffer, b"\0" if options.null else b"\n") if FROM_INPUT in options.names else []


def _leave_out(tasks: Iterable[_Task], earlier: Counter[str]) -> Iterator[_Task]:
    """Leave out what has a row; a file that was named twice has two."""
    remaining = earlier.copy()
    for task in tasks:
        name = name_file(task.path)
        if remaining[name]:
            remaining[name] -= 1
        else:
            yield task


def _write_rows(classifier: Classifier, tasks: list[_Task], num_threads: int, writer: RowWriter) -> None:
    wanted = list(_leave_out(tasks, writer.earlier))
    num_earlier = len(tasks) - len(wanted)
    begin = time.perf_counter()
    with closing(map_in_order(lambda task: _judge_file(classifier, task), wanted, num_threads)) as judged:
        for rows in tqdm(judged, "predicting", len(tasks), unit="image", disable=None, initial=num_earlier):
            writer.write(rows)
    seconds = time.perf_counter() - begin
    logger.info("%d images in %.1f s: %.1f a second", len(wanted), seconds, len(wanted) / max(seconds, 1e-9))


def _judge_file(classifier: Classifier, task: _Task) -> Sequence[Row]:
    if is_volume(task.path):
        return list(predict_volume(classifier, task.path, task.choice.slices, task.overlay))
    return [_judge_image(classifier, task)]


def _judge_image(classifier: Classifier, task: _Task) -> Row:
    name = name_file(task.path)
    try:
        data = _read(task.path)
    except OSError as error:
        return Row(name, error=error.strerror or "cannot be read")
    try:
        prediction = _predict(classifier, data, task)
    except InputError as error:
        return Row(name, error=str(error))
    return Row(name, prediction, overlay=name_file(task.overlay) if task.overlay else None)


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise OSError(None, f"The file may have at most {MAX_FILE_BYTES:,} bytes.")
    return path.read_bytes()


def _predict(classifier: Classifier, data: bytes, task: _Task) -> Prediction:
    if task.overlay is None:
        return classifier.predict(data, task.choice.frame)
    return save_overlay(classifier.visualize(data, frame=task.choice.frame), task.overlay)


def _read_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_THREADS}")
    return int(text)
