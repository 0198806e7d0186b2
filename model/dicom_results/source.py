"""What results have to say of the DICOM image that they belong to: its patient, its study, and which instance it is."""

import io
import re
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from model.dicom.structure import split_dicom
from model.errors import ResultSourceError
from model.images.signature import is_dicom

CHARACTER_SET = "ISO_IR 192"  # UTF-8, whatever the image has

# Type 1 of the SOP Common, General Study and General Series modules: without them nothing can refer to the image.
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Type 2 of the Patient and General Study modules, PS3.3 C.7.1.1 and C.7.2.1: present, but may be empty.
_KEPT_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
_OPTIONAL = (
    *("IssuerOfPatientID", "PatientAge", "StudyDescription"),
    *("InstanceNumber", "LossyImageCompression", "BodyPartExamined"),
)
# Values that are not what the standard allows are left out: a result must not be refused for what its image has.
_FORMS = {
    "PatientBirthDate": r"\d{8}",
    "PatientSex": r"[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "InstanceNumber": r"[+-]?\d{1,9}",
    "LossyImageCompression": r"0[01]",
    "BodyPartExamined": r"[A-Z0-9_ ]{1,16}",
}
_MAX_CHARACTERS = {"AccessionNumber": 16, "StudyID": 16}
_DEFAULT_MAX_CHARACTERS = 64


def read_source(data: bytes) -> Dataset:
    """Read what results inherit from a DICOM file; the elements are those of the Patient and General Study modules.

    Raises:
        ResultSourceError: If it is no DICOM file, or lacks the identifiers that results refer to.
        TruncatedImageError: If its header is damaged.
    """
    if not is_dicom(data):
        raise ResultSourceError("DICOM results belong to the study of a DICOM image; the image is none.")
    file = split_dicom(data)
    tags: Any = [Tag(keyword) for keyword in ("SpecificCharacterSet", *_IDENTIFIERS, *_KEPT_EMPTY, *_OPTIONAL)]
    found = read_dataset(
        io.BytesIO(file.body), file.is_implicit, file.is_little_endian, None, None, None, specific_tags=tags
    )
    source = Dataset()
    source.SpecificCharacterSet = CHARACTER_SET
    for keyword in _IDENTIFIERS:
        identifier = UID(str(found.get(keyword) or ""))
        if not identifier.is_valid:
            raise ResultSourceError(f"DICOM results refer to their image by its {keyword}, which it does not have.")
        setattr(source, keyword, identifier)
    for keyword in _KEPT_EMPTY:
        setattr(source, keyword, _clean(found, keyword))
    for keyword in _OPTIONAL:
        if value := _clean(found, keyword):
            setattr(source, keyword, value)
    return source


def _clean(found: Dataset, keyword: str) -> str:
    value = str(found.get(keyword) or "").strip("\0 ")
    if keyword in _FORMS:
        return value if re.fullmatch(_FORMS[keyword], value, re.ASCII) else ""
    printable = "".join(character for character in value if character.isprintable() and character != "\\")
    return printable[: _MAX_CHARACTERS.get(keyword, _DEFAULT_MAX_CHARACTERS)]
