"""`python -m model predict`: files to rows, and pictures on request.

names -> files -> [model.commands.classification] -> rows, in the order of the files
                  on as many threads as there are cores
"""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import repeat
from pathlib import Path

from model.classifier import Classifier
from model.commands.batch import map_in_order
from model.commands.classification import FileOptions, Task, classify_file
from model.commands.image_files import FROM_INPUT, ImageFile, find_images, read_listing
from model.commands.ray_cluster import map_on_ray
from model.commands.result_files import CAPTURE_SUFFIX, PICTURE_SUFFIX, plan_paths
from model.commands.row_file import RowWriter, open_rows
from model.commands.rows import CsvTable, JsonLines, Row, RowFormat, name_file
from model.dicom_results.results import check_packages
from model.engines.loading import DEFAULT_WEIGHTS
from model.host.cores import available_cores
from model.host.outputs import check_file, check_folder
from model.host.progress import Progress
from model.nifti.slices import DEFAULT_SLICES, parse_slices

MAX_THREADS = 256
STOPPED = 130  # exit status after SIGINT: 128 and the signal's number

logger = logging.getLogger(__name__)


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="PATH",
        help="image, folder with images at any depth, pattern ('scans/**/*.png'), "
        "or - for a list of files and folders on standard input, one on each line",
    )
    parser.add_argument("--null", "-0", action="store_true", help="paths in the list end with NUL, as of find -print0")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="default %(default)s")
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="appears at the end, until then FILE.part; default: stdout"
    )
    parser.add_argument("--resume", action="store_true", help="keep the rows of FILE.part or FILE, and append the rest")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="also write each scan with its evidence as PNG")
    parser.add_argument(
        "--dicom", type=Path, metavar="DIR", help="also write evidence and a report as DICOM, for DICOM images"
    )
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
        "--threads", type=_parse_count, default=available_cores(), help="images at a time; default %(default)s"
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="classify on a Ray cluster: auto, ray://HOST:PORT, or local, one of its own, as without ADDRESS",
    )


def predict_files(options: argparse.Namespace) -> int:
    """Classify the files that the options name.

    Returns:
        The exit status: 0; 1 if a file could not be classified; 130 when stopped.
    """
    for folder in (options.overlays, options.dicom):
        if folder:
            check_folder(folder)
    if options.output:
        check_file(options.output)
    if options.dicom:
        check_packages()
    results = [folder for folder in (options.overlays, options.dicom) if folder]
    files = find_images(options.names, _read_input(options), results)
    file_options = FileOptions(options.frame, options.slice)
    overlays = _plan(options.overlays, files, PICTURE_SUFFIX)
    captures = _plan(options.dicom, files, CAPTURE_SUFFIX)
    tasks = [
        Task(file.path, overlay, capture, file_options, file.problem)
        for file, overlay, capture in zip(files, overlays, captures, strict=True)
    ]
    # One core for an image: the same result to the last bit at any load.
    classifier = Classifier.load(options.weights, num_threads=1)
    form: RowFormat = CsvTable(classifier.card.classes) if options.format == "csv" else JsonLines()
    try:
        with open_rows(options.output, form, classifier.identity.sha256, resume=options.resume) as writer:
            _write_rows(classifier, tasks, options, writer)
    except KeyboardInterrupt:
        if options.output:
            logger.error("stopped; run the same command with --resume to continue")
        return STOPPED
    if writer.num_failed:
        logger.error(
            "%d of %d images could not be classified; see the errors in their rows", writer.num_failed, len(files)
        )
    return 1 if writer.num_failed else 0


def _plan(folder: Path | None, files: Sequence[ImageFile], suffix: str) -> Iterable[Path | None]:
    return plan_paths(folder, files, suffix) if folder else repeat(None, len(files))


def _read_input(options: argparse.Namespace) -> list[str]:
    return read_listing(sys.stdin.buffer, b"\0" if options.null else b"\n") if FROM_INPUT in options.names else []


def _skip_done(tasks: Iterable[Task], earlier: Counter[str]) -> Iterator[Task]:
    """Skip tasks that have a row; a file that was named twice has two."""
    remaining = earlier.copy()
    for task in tasks:
        name = name_file(task.path)
        if remaining[name]:
            remaining[name] -= 1
        else:
            yield task


def _write_rows(classifier: Classifier, tasks: list[Task], options: argparse.Namespace, writer: RowWriter) -> None:
    remaining = list(_skip_done(tasks, writer.earlier))
    num_done = len(tasks) - len(remaining)
    start = time.perf_counter()
    with closing(_classify_files(classifier, remaining, options)) as classified:
        for rows in Progress(classified, "predicting", len(tasks), unit="image", initial=num_done):
            writer.write(rows)
    seconds = time.perf_counter() - start
    logger.info("%d images in %.1f s: %.1f a second", len(remaining), seconds, len(remaining) / max(seconds, 1e-9))


def _classify_files(
    classifier: Classifier, tasks: list[Task], options: argparse.Namespace
) -> Generator[Sequence[Row], None, None]:
    """Classify files here or on a cluster; yield the rows of each, in their order."""
    if options.ray is None:
        return map_in_order(lambda task: classify_file(classifier, task), tasks, options.threads)
    return map_on_ray(options.ray, options.weights, classifier.identity.sha256, classify_file, tasks)


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_THREADS}; found {text}")
    return int(text)
