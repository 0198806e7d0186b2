"""`python -m model watch IN OUT`: classifies images that are put into one folder, with results in another.

    IN/deep/a.dcm -> stable? -> classified -> OUT/done/deep/a.dcm.png, .sc.dcm, .sr.dcm, and then a.dcm.json
                                    |
                                    error -> OUT/failed/deep/a.dcm.json

The result, the `.json`, is written last and atomically, and names the state of the file before it was read: its size,
times and inode, one of which another scan changes even where it is copied with the old time. There is no other state: a
watch that was stopped or killed begins with the files that have no result of their present state. Nothing in IN is
changed.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from model.classifier import Classifier
from model.commands.classification import Task, classify_file
from model.commands.image_files import ImageFile, find_images
from model.commands.result_files import CAPTURE_SUFFIX, PICTURE_SUFFIX, place_result
from model.commands.rows import JsonLines, name_file
from model.dicom_results.results import can_write_results
from model.engines.loading import DEFAULT_WEIGHTS
from model.errors import ImagesNotFoundError, OutputError
from model.host.atomic_file import write_file
from model.host.outputs import check_folder

DONE, FAILED = "done", "failed"
RESULT_SUFFIX = ".json"
DEFAULT_INTERVAL_SECONDS = 2.0  # programs that copy a file write to it more often

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileState:
    """Identifies one version of a file."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "FileState | None":
        """Look at a file, or at a link that leads to none; None if it is gone."""
        for look in (path.stat, path.lstat):
            with suppress(OSError):
                found = look()
                return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return None


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("source", type=Path, metavar="IN", help="folder that images are put into, at any depth")
    parser.add_argument("target", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="default %(default)s")
    parser.add_argument("--once", action="store_true", help="classify the files that are there, then exit")
    parser.add_argument(
        "--interval",
        type=_parse_seconds,
        default=DEFAULT_INTERVAL_SECONDS,
        metavar="SECONDS",
        help="between two looks; a file that is the same in both is complete; default %(default)s",
    )


def watch_folder(options: argparse.Namespace) -> int:
    """Classify images that are put into a folder, until stopped.

    Returns:
        With `--once` 1 if an image could not be classified, else 0; 0 when stopped.

    Raises:
        OutputError: If IN is missing, or one of the folders is in the other.
    """
    _check_apart(options.source, options.target)
    check_folder(options.target)
    watch = _Watch(options.source, options.target, Classifier.load(options.weights, num_threads=1))
    logger.info("watching %s", options.source)
    try:
        earlier = watch.find_pending()
        while True:
            time.sleep(options.interval)
            now = watch.find_pending()
            num_failed = watch.classify(file for file, state in now.items() if earlier.get(file) == state)
            if options.once:
                return 1 if num_failed else 0
            earlier = now
    except KeyboardInterrupt:
        return 0


class _Watch:
    def __init__(self, source: Path, target: Path, classifier: Classifier) -> None:
        self._source, self._target, self._classifier = source, target, classifier
        self._writes_dicom = can_write_results()
        self._unwritten: dict[ImageFile, FileState] = {}

    def find_pending(self) -> Mapping[ImageFile, FileState]:
        """Find the files without a result, and those that have changed since."""
        try:
            files = find_images([str(self._source)], skip=[self._target])
        except (ImagesNotFoundError, OSError):  # none, or the folder itself is gone for now
            return {}
        states = ((file, FileState.of(file.path)) for file in files)
        return {file: state for file, state in states if state and state not in self._read_states(file)}

    def classify(self, files: Iterable[ImageFile]) -> int:
        """Classify files and write their results; return the number of failures."""
        return sum([self._classify(file) for file in files])

    def _classify(self, file: ImageFile) -> bool:
        state = FileState.of(file.path)  # before it is read: if it grows meanwhile, its state differs from the result's
        if state is None:
            return False
        overlay = self._place(DONE, file, PICTURE_SUFFIX)
        capture = self._place(DONE, file, CAPTURE_SUFFIX) if self._writes_dicom else None
        rows = classify_file(self._classifier, Task(file.path, overlay, capture, problem=file.problem))
        failed = any(row.error for row in rows)
        encoded = [json.loads(JsonLines().encode(row)) for row in rows]
        result = {"file": name_file(file.path), **asdict(state), "rows": encoded}
        kind, other = (FAILED, DONE) if failed else (DONE, FAILED)
        try:
            write_file(self._place(kind, file, RESULT_SUFFIX), json.dumps(result, ensure_ascii=False).encode() + b"\n")
            self._place(other, file, RESULT_SUFFIX).unlink(missing_ok=True)
        except OSError as error:
            logger.error("%s: the result cannot be written: %s", file.path, error.strerror)
            self._unwritten[file] = state  # or it would be classified at every look
            return True
        logger.info("%s: %s", file.path, kind)
        return failed

    def _read_states(self, file: ImageFile) -> list[FileState | None]:
        results = (_read_state(self._place(kind, file, RESULT_SUFFIX)) for kind in (DONE, FAILED))
        return [*results, self._unwritten.get(file)]

    def _place(self, kind: str, file: ImageFile, suffix: str) -> Path:
        return place_result(self._target / kind, file.place, suffix)


def _read_state(result: Path) -> FileState | None:
    """Read the state of the file that a result is for; None if there is no result."""
    try:
        fields = json.loads(result.read_bytes())
        return FileState(fields["size"], fields["modified_ns"], fields["changed_ns"], fields["inode"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check_apart(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise OutputError(f"{source} is not a folder; pass the one that images are put into")
    for inner, outer in ((source, target), (target, source)):
        if Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer)):
            raise OutputError(f"{inner} is in {outer}; choose two folders that are apart")


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("expected a number of seconds from 0.05 to 3600")
    return seconds
