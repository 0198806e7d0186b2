"""The attributes of a DICOM image that its results refer to or inherit: patient, study, and the instance itself."""

import re

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from model.dicom.reading import DAMAGED_HEADER, read_attributes, refuse_dicom_damage
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
PATIENT_AND_STUDY = (*_KEPT_EMPTY, "IssuerOfPatientID", "PatientAge", "StudyDescription")
_OPTIONAL = (*PATIENT_AND_STUDY[len(_KEPT_EMPTY) :], "InstanceNumber", "LossyImageCompression", "BodyPartExamined")
# Values without their form are left out: a result must not be refused for a fault of its image. Text stays as it is.
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
_TIMES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
# No component begins with a zero, but archives know images whose UIDs do.
_UID = re.compile(r"(?=.{1,64}$)\d+(\.\d+)*", re.ASCII)
# After these an escape to another character set has ended: PS3.5, 6.1.2.5.3.
_REPLACED = "\ufffd"  # stands for bytes that are no character
_DELIMITERS = {*map(ord, "\\\r\n\t\f")}
_NAME_DELIMITERS = {*map(ord, "\\^=")}


def read_source(data: bytes) -> Dataset:
    """Read the attributes that results inherit from a DICOM file, with valid values only.

    Raises:
        ResultSourceError: If it is no DICOM file, or lacks identifiers that results refer to.
        TruncatedImageError: If its header is damaged.
    """
    if not is_dicom(data):
        raise ResultSourceError("DICOM results belong to the study of a DICOM image; send a DICOM image.")
    found = read_attributes(split_dicom(data), ("SpecificCharacterSet", *_IDENTIFIERS, *_KEPT_EMPTY, *_OPTIONAL))
    with refuse_dicom_damage(DAMAGED_HEADER):
        return _select_attributes(found)


def _select_attributes(found: Dataset) -> Dataset:
    source = Dataset()
    source.SpecificCharacterSet = CHARACTER_SET
    encodings = convert_encodings(found.get("SpecificCharacterSet") or None)
    for keyword in _IDENTIFIERS:
        identifier = _read_text(found, keyword, encodings)
        if not identifier:
            raise ResultSourceError(f"DICOM results refer to their image by its {keyword}; send an image that has one.")
        if not _UID.fullmatch(identifier):
            raise ResultSourceError(
                f"DICOM results keep the {keyword} of their image; this one has other than 1 to 64 digits and dots."
            )
        setattr(source, keyword, UID(identifier))
    for keyword in (*_KEPT_EMPTY, *_OPTIONAL):
        value = _read_text(found, keyword, encodings)
        value = value if keyword not in _FORMS or _is_valid(value, keyword) else ""
        if value or keyword in _KEPT_EMPTY:
            setattr(source, keyword, value)
    return source


def _read_text(found: Dataset, keyword: str, encodings: list[str]) -> str:
    r"""Read text as it is stored, as one value even if it holds `\\`, but for the padding at its end.

    Raises:
        ResultSourceError: If it is not text in the character set that the file names.
    """
    if keyword not in found:
        return ""
    stored = found.get_item(keyword).value or b""
    delimiters = _NAME_DELIMITERS if dictionary_VR(keyword) == "PN" else _DELIMITERS
    text = decode_bytes(stored, encodings, delimiters) if isinstance(stored, bytes) else _REPLACED
    if _REPLACED in text or "\x1b" in text:
        raise ResultSourceError(
            f"DICOM results keep the {keyword} of their image; this one does not fit its character set."
        )
    return text.rstrip("\0 ")


def _is_valid(value: str, keyword: str) -> bool:
    """True if a value has its form and a date or time exists; 00000000, as some anonymisers write it, does not."""
    try:
        _TIMES.get(keyword, str)(value)
    except ValueError:
        return False
    return re.fullmatch(_FORMS[keyword], value, re.ASCII) is not None
