"""The context of a result: its image, its prediction, and the identifiers and attributes that follow from them.

Identifiers are derived from those of the image, of the weights and of the request: a result that is made again is the
same instance, and so an archive that receives it twice stores it once.
"""

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage, generate_uid

from model.dicom_results.source import PATIENT_AND_STUDY
from model.prediction import ModelIdentity, Prediction

DISCLAIMER = "AI research - not for diagnosis"
MANUFACTURER = "brain-tumor-mri"

# Classes of one frame: references must not name it, even if a file holds more against the rules.
_SINGLE_FRAME = (MRImageStorage, CTImageStorage, SecondaryCaptureImageStorage)
_SERIES_NUMBERS = {"capture": 9_001, "report": 9_002}  # beyond those of scanners


@dataclass(frozen=True)
class ResultContext:
    """An image, its prediction, and the options of the request.

    Attributes:
        source: See `model.dicom_results.source.read_source`.
        explained: The class whose evidence was drawn.
        variant: Options that change the picture, as text.
    """

    source: Dataset
    prediction: Prediction
    explained: str
    variant: str

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the weights."""
        return self.prediction.model

    @property
    def frame_numbers(self) -> tuple[int, ...]:
        """The frame that was classified, from 1; empty if the image has one frame or is of a class that has."""
        report = self.prediction.input
        is_single = report.num_frames == 1 or self.source.SOPClassUID in _SINGLE_FRAME
        return () if report.frame is None or is_single else (report.frame,)

    @property
    def evidence(self) -> Dataset:
        """The image without its patient's name: highdicom refuses names that archives may hold."""
        evidence = Dataset()
        evidence.update({element.tag: element for element in self.source if element.keyword != "PatientName"})
        evidence.PatientName = ""
        return evidence

    def inherit(self, instance: Dataset) -> None:
        """Give a result the patient and the study of its image."""
        instance.update({element.tag: element for element in self.source if element.keyword in PATIENT_AND_STUDY})

    def instance_uid(self, kind: str) -> UID:
        """Derive the UID of a capture, a report or a finding."""
        source = (self.source.SOPInstanceUID, str(self.prediction.input.frame))
        return generate_uid(entropy_srcs=[kind, *source, self.identity.sha256, self.explained, self.variant])

    def instance_attributes(self, kind: str) -> dict[str, Any]:
        """Collect the attributes that captures and reports share, as arguments of highdicom."""
        series = [kind, self.source.SeriesInstanceUID, self.identity.sha256]  # one for all images of a series
        return {
            "series_instance_uid": generate_uid(entropy_srcs=series),
            "series_number": _SERIES_NUMBERS[kind],
            "series_description": DISCLAIMER,
            "sop_instance_uid": self.instance_uid(kind),
            "instance_number": max(1, int(self.source.get("InstanceNumber") or 1)),
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.identity.name[:64],
            "software_versions": self.identity.version[:64],
            "specific_character_set": self.source.SpecificCharacterSet,
        }
