"""Reading attributes of a DICOM file: only those that are named, and nothing of them in a log."""

import functools
import io
import logging
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

from model.dicom.structure import DicomFile
from model.images.damage import refuse_damage

DAMAGED_HEADER = "The DICOM header is damaged; send the complete file."


def read_attributes(file: DicomFile, keywords: Iterable[str]) -> Dataset:
    """Read some attributes of a file, and no other.

    Raises:
        TruncatedImageError: If they are damaged, or hold more parts than an image needs.
    """
    _silence_libraries()
    return _read(file, file.cut_elements(map(_find_tag, keywords)))


def read_item(file: DicomFile, keyword: str, index: int) -> Dataset:
    """Read one item of a sequence, after `read_attributes`; the data set holds the sequence with it alone, or nothing.

    Raises:
        TruncatedImageError: As `read_attributes`.
    """
    return _read(file, file.cut_item(_find_tag(keyword), index))


@functools.cache
def _find_tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def _read(file: DicomFile, data: bytes) -> Dataset:
    with refuse_dicom_damage(DAMAGED_HEADER):
        return read_dataset(io.BytesIO(data), not file.is_explicit, file.is_little_endian)


def refuse_dicom_damage(message: str) -> AbstractContextManager[None]:
    """Raise `TruncatedImageError` in place of an error by which pydicom or a codec reports damage."""
    return refuse_damage(message, BytesLengthException, InvalidDicomError)


def _silence_libraries() -> None:
    """Keep pydicom and highdicom from writing values of a header to the log or into a warning."""
    for library in ("pydicom", "highdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=library)
    config.settings.reading_validation_mode = config.settings.writing_validation_mode = config.IGNORE
