"""Classification of one file: [read -> decode -> predict -> draw] to rows, and results beside them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model import scan_files
from model.classifier import Classifier
from model.commands.result_files import save_dicom, save_picture
from model.commands.rows import Row, name_file
from model.commands.volume_rows import predict_volume
from model.dicom_results.results import write_results
from model.errors import InputError
from model.nifti.slices import DEFAULT_SLICES, SliceChoice, is_volume
from model.prediction import Visualization

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileOptions:
    """The frame or the slices of a file that holds several images."""

    frame: int | None = None
    slices: SliceChoice = DEFAULT_SLICES


@dataclass(frozen=True)
class Task:
    """A file to classify, the paths for its picture as PNG and as DICOM, and why it cannot be read, if known."""

    path: Path
    overlay: Path | None
    capture: Path | None
    options: FileOptions = FileOptions()
    problem: str = ""


def classify_file(classifier: Classifier, task: Task) -> Sequence[Row]:
    """Classify a file: one row for an image, several for a volume; any failure is a row with its error."""
    try:
        if task.problem:
            return [Row(name_file(task.path), error=task.problem)]
        if is_volume(task.path):
            return list(predict_volume(classifier, task.path, task.options.slices, task.overlay))
        return [_classify_image(classifier, task)]
    except InputError as error:
        problem = str(error)
    except OSError as error:
        is_result = error.filename is not None and Path(error.filename) != task.path
        problem = f"{'a result cannot be written: ' if is_result else ''}{error.strerror or 'cannot be read'}"
    except Exception as error:  # one file, however odd, is no reason to lose the rest
        logger.debug("%s", task.path, exc_info=True)
        problem = f"unexpected {type(error).__name__}"
    return [Row(name_file(task.path), error=problem)]


def _classify_image(classifier: Classifier, task: Task) -> Row:
    data = scan_files.read_file(task.path)
    if task.overlay is None and task.capture is None:
        return Row(name_file(task.path), classifier.predict(data, task.options.frame))
    visualization = classifier.visualize(data, frame=task.options.frame)
    return _save(Row(name_file(task.path), visualization.prediction), data, visualization, task)


def _save(row: Row, data: bytes, visualization: Visualization, task: Task) -> Row:
    if task.overlay is not None:
        save_picture(visualization.picture, task.overlay)
        row = replace(row, overlay=name_file(task.overlay))
    if task.capture is None:
        return row
    try:
        report = save_dicom(write_results(data, visualization), task.capture)
    except InputError as error:  # the prediction is valid, only its results have no study
        return replace(row, note=str(error))
    return replace(row, capture=name_file(task.capture), report=name_file(report))
