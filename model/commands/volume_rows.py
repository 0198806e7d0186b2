"""Rows of a volume: one for each slice, and a summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from model.classifier import Classifier
from model.commands.result_files import save_picture
from model.commands.rows import Row, name_file
from model.commands.volume_summary import summarise_volume
from model.errors import InputError, TruncatedImageError, UnsupportedFormatError
from model.nifti.slices import SliceChoice
from model.prediction import Prediction

if TYPE_CHECKING:
    from model.nifti.volume import VolumeSlice

NO_HEAD = "shows no head; not classified"


def predict_volume(
    classifier: Classifier, path: Path, choice: SliceChoice, overlay: Path | None = None
) -> Iterator[Row]:
    """Classify slices of a NIfTI volume.

    Args:
        overlay: `scan.nii.gz.png` for pictures such as `scan.nii.gz-axial-12.png` beside it; None for no pictures.

    Yields:
        A row for each slice, in order, and a last one for the volume; or a last one with an error.
    """
    name = name_file(path)
    classified: list[Prediction] = []
    num_slices = 0
    try:
        for row in _predict_slices(classifier, path, choice, overlay):
            num_slices += 1
            classified += [] if row.prediction is None else [row.prediction]
            yield row
    except InputError as error:
        yield Row(name, error=str(error))
    else:
        summary = summarise_volume(classified, num_slices, classifier.card.classes, classifier.identity)
        yield Row(f"{name}#volume", volume=name, summary=summary, note=None if classified else NO_HEAD)


def _predict_slices(classifier: Classifier, path: Path, choice: SliceChoice, overlay: Path | None) -> Iterator[Row]:
    volume = name_file(path)
    for part in _read_slices(path, choice):
        name = f"{volume}#{choice.plane}:{part.index}"
        if not part.shows_head:
            yield Row(name, volume=volume, note=NO_HEAD)
            continue
        picture = overlay and overlay.with_name(f"{overlay.stem}-{choice.plane}-{part.index}{overlay.suffix}")
        if picture is None:
            yield Row(name, classifier.predict_decoded(part.decoded), volume=volume)
        else:
            visualization = classifier.visualize_decoded(part.decoded)
            save_picture(visualization.picture, picture)
            yield Row(name, visualization.prediction, volume=volume, overlay=name_file(picture))


def _read_slices(path: Path, choice: SliceChoice) -> "Iterator[VolumeSlice]":
    try:
        from model.nifti.volume import read_slices
    except ModuleNotFoundError as error:
        raise UnsupportedFormatError(
            "NIfTI needs packages that are not installed: see requirements/nifti.txt."
        ) from error
    try:
        yield from read_slices(path, choice)
    except OSError as error:
        raise TruncatedImageError(f"The file cannot be read: {error.strerror}.") from error
