"""Classification of one file: [read -> decode -> predict -> draw] to rows, and results beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.classifier import Classifier
from model.commands.result_files import save_dicom, save_picture
from model.commands.rows import Row, name_file
from model.commands.volume_rows import predict_volume
from model.dicom_results.results import write_results
from model.errors import InputError
from model.nifti.slices import DEFAULT_SLICES, SliceChoice, is_volume
from model.prediction import Visualization

MAX_FILE_BYTES = 256 * 2**20  # the largest image that may be decoded has 128 MiB as 16-bit RGBA without compression


@dataclass(frozen=True)
class FileOptions:
    """The frame or the slices of a file that holds several images."""

    frame: int | None = None
    slices: SliceChoice = DEFAULT_SLICES


@dataclass(frozen=True)
class Task:
    """A file to classify, and the paths for its picture as PNG and as DICOM."""

    path: Path
    overlay: Path | None
    capture: Path | None
    options: FileOptions = FileOptions()


def classify_file(classifier: Classifier, task: Task) -> Sequence[Row]:
    """Classify a file: one row for an image, several for a volume; a failure is a row with its error."""
    if is_volume(task.path):
        return list(predict_volume(classifier, task.path, task.options.slices, task.overlay))
    return [_classify_image(classifier, task)]


def _classify_image(classifier: Classifier, task: Task) -> Row:
    name = name_file(task.path)
    try:
        data = _read(task.path)
    except OSError as error:
        return Row(name, error=error.strerror or "cannot be read")
    try:
        if task.overlay is None and task.capture is None:
            return Row(name, classifier.predict(data, task.options.frame))
        visualization = classifier.visualize(data, frame=task.options.frame)
    except InputError as error:
        return Row(name, error=str(error))
    return _save(Row(name, visualization.prediction), data, visualization, task)


def _save(row: Row, data: bytes, visualization: Visualization, task: Task) -> Row:
    if task.overlay is not None:
        save_picture(visualization.png, task.overlay)
        row = replace(row, overlay=name_file(task.overlay))
    if task.capture is None:
        return row
    try:
        report = save_dicom(write_results(data, visualization), task.capture)
    except InputError as error:  # the prediction is valid, only its results have no study
        return replace(row, note=str(error))
    return replace(row, capture=name_file(task.capture), report=name_file(report))


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise OSError(None, f"The file may have at most {MAX_FILE_BYTES:,} bytes.")
    return path.read_bytes()
