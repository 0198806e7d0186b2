"""`python -m model watch IN OUT`: a folder that images are put into, and one that answers come out of.

    IN/deep/a.dcm -> stable? -> judged -> OUT/done/deep/a.dcm.png, .sc.dcm, .sr.dcm, and then a.dcm.json
                                  |
                                  cannot be -> OUT/failed/deep/a.dcm.json

The answer is written last and at once, and names the size and time of the file that it is for. Nothing else is known of
what is done, so whoever is stopped or killed begins with what has no answer. Nothing in IN is changed.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from model.classifier import Classifier
from model.commands.image_files import ImageFile, find_images
from model.commands.judging import Task, judge_file
from model.commands.overlay_files import SUFFIX as PICTURE_SUFFIX
from model.commands.result_files import CAPTURE_SUFFIX, write_whole
from model.commands.rows import JsonLines, name_file
from model.engines.loading import DEFAULT_WEIGHTS
from model.errors import ImagesNotFoundError, OutputError

DONE, FAILED = "done", "failed"
ANSWER_SUFFIX = ".json"
DEFAULT_INTERVAL_SECONDS = 2.0  # whoever copies a file writes to it more often

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileState:
    """By what a file is told from what it was before."""

    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState | None":
        """Look at a file; None if it has gone."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns)


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("source", type=Path, metavar="IN", help="folder that images are put into, at any depth")
    parser.add_argument("target", type=Path, metavar="OUT", help="folder for what comes of them")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="default %(default)s")
    parser.add_argument("--once", action="store_true", help="judge what is there, and end")
    parser.add_argument(
        "--interval",
        type=_read_seconds,
        default=DEFAULT_INTERVAL_SECONDS,
        metavar="SECONDS",
        help="between two looks; a file that is the same in both is complete; default %(default)s",
    )


def watch_folder(options: argparse.Namespace) -> int:
    """Judge what is put into a folder, until stopped.

    Returns:
        With `--once` 1 if an image could not be judged, else 0; when stopped 0.

    Raises:
        OutputError: If one of the folders is in the other, or IN is not there.
    """
    _check_apart(options.source, options.target)
    watch = _Watch(options.source, options.target, Classifier.load(options.weights, num_threads=1))
    logger.info("watching %s", options.source)
    try:
        seen = watch.look()
        while True:
            time.sleep(options.interval)
            now = watch.look()
            num_failed = watch.judge(file for file, state in now.items() if seen.get(file) == state)
            if options.once:
                return 1 if num_failed else 0
            seen = now
    except KeyboardInterrupt:
        return 0


class _Watch:
    def __init__(self, source: Path, target: Path, classifier: Classifier) -> None:
        self._source, self._target, self._classifier = source, target, classifier
        self._has_dicom_results = find_spec("highdicom") is not None

    def look(self) -> Mapping[ImageFile, FileState]:
        """Find the files that have no answer, or have changed since."""
        try:
            files = find_images([str(self._source)])
        except ImagesNotFoundError:
            return {}
        states = ((file, FileState.of(file.path)) for file in files)
        return {file: state for file, state in states if state and not self._is_answered(file, state)}

    def judge(self, files: Iterable[ImageFile]) -> int:
        """Judge files and write their answers; return how many could not be judged."""
        return sum([self._judge(file) for file in files])

    def _judge(self, file: ImageFile) -> bool:
        state = FileState.of(file.path)
        if state is None:
            return False
        done = self._place(DONE, file)
        capture = done.with_name(done.name + CAPTURE_SUFFIX) if self._has_dicom_results else None
        rows = judge_file(self._classifier, Task(file.path, done.with_name(done.name + PICTURE_SUFFIX), capture))
        failed = any(row.error for row in rows)
        encoded = [json.loads(JsonLines().encode(row)) for row in rows]
        answer = {"file": name_file(file.path), **asdict(state), "rows": encoded}
        path, other = (self._answer(kind, file) for kind in ((FAILED, DONE) if failed else (DONE, FAILED)))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        other.unlink(missing_ok=True)
        logger.info("%s: %s", file.path, "failed" if failed else "done")
        return failed

    def _is_answered(self, file: ImageFile, state: FileState) -> bool:
        return any(_read_state(self._answer(kind, file)) == state for kind in (DONE, FAILED))

    def _place(self, kind: str, file: ImageFile) -> Path:
        return self._target / kind / file.path.relative_to(self._source)

    def _answer(self, kind: str, file: ImageFile) -> Path:
        place = self._place(kind, file)
        return place.with_name(place.name + ANSWER_SUFFIX)


def _read_state(answer: Path) -> FileState | None:
    """Read for which state of a file an answer is; None if there is no answer."""
    try:
        facts = json.loads(answer.read_bytes())
        return FileState(facts["size"], facts["modified_ns"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check_apart(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise OutputError(f"{source} is no folder; name the one that images are put into")
    for inner, outer in ((source, target), (target, source)):
        if inner.resolve().is_relative_to(outer.resolve()):
            raise OutputError(f"{inner} lies in {outer}; choose folders of which none is in the other")


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("expected a number of seconds from 0.05 to 3600")
    return seconds
