"""Reading attributes of a DICOM file: only those that are named, and nothing of them in a log."""

import io
import logging
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from model.dicom.structure import split_dicom
from model.images.damage import refuse_damage

DAMAGED_HEADER = "The DICOM header is damaged; send the complete file."


def read_attributes(data: bytes, keywords: Iterable[str]) -> tuple[UID, Dataset]:
    """Read some attributes of a DICOM Part 10 file, and no other.

    Returns:
        The transfer syntax, and a data set.

    Raises:
        TruncatedImageError: If the file is damaged or holds more parts than an image needs.
    """
    _silence_libraries()
    file = split_dicom(data)
    tags: Any = [Tag(keyword) for keyword in keywords]
    with refuse_dicom_damage(DAMAGED_HEADER):
        dataset = read_dataset(
            io.BytesIO(file.body), file.is_implicit, file.is_little_endian, None, None, None, specific_tags=tags
        )
    return UID(file.transfer_syntax), dataset


def refuse_dicom_damage(message: str) -> AbstractContextManager[None]:
    """Raise `TruncatedImageError` in place of an error by which pydicom or a codec reports damage."""
    return refuse_damage(message, BytesLengthException, InvalidDicomError)


def _silence_libraries() -> None:
    """Keep pydicom and highdicom from writing values of a header to the log or into a warning."""
    for library in ("pydicom", "highdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=library)
    config.settings.reading_validation_mode = config.IGNORE
