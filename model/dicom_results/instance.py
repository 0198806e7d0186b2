"""What every DICOM result has: the patient and study of its image, a series of its own, and who made it.

Identifiers are made from those of the image, of the weights and of what was asked for: a result that is made again is
the same instance, so that nothing is doubled where a run is repeated.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from model.prediction import ModelIdentity, Prediction, Visualization

DISCLAIMER = "AI research - not for diagnosis"
MANUFACTURER = "brain-tumor-mri"

_OF_SOURCE = (  # what a result does not inherit as it is
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber"),
    *("LossyImageCompression", "BodyPartExamined"),
)
# Classes whose images have one frame: what refers to them must not name it, even if they have more against the rules.
_SINGLE_FRAME = (MRImageStorage, CTImageStorage, SecondaryCaptureImageStorage)
_SERIES_NUMBERS = {"capture": 9_001, "report": 9_002}  # behind those that scanners give


@dataclass(frozen=True)
class ResultContext:
    """What a result is about.

    Attributes:
        source: See `model.dicom_results.source.read_source`.
        explained: The class whose evidence was drawn.
        variant: What of the request changes the picture, as text.
    """

    source: Dataset
    prediction: Prediction
    explained: str
    variant: str

    @classmethod
    def of(cls, source: Dataset, visualization: Visualization, variant: str) -> "ResultContext":
        """Put together what is known."""
        return cls(source, visualization.prediction, visualization.explained, variant)

    @property
    def identity(self) -> ModelIdentity:
        """Which weights answered."""
        return self.prediction.model

    @property
    def frame_numbers(self) -> tuple[int, ...]:
        """The frame that was judged, from 1; empty where the image has no other, or is of a class that never has."""
        report = self.prediction.input
        is_single = report.num_frames == 1 or self.source.SOPClassUID in _SINGLE_FRAME
        return () if report.frame is None or is_single else (report.frame,)

    def series_uid(self, kind: str) -> UID:
        """Identify the series of one kind of results: the same for all images of a series."""
        return generate_uid(entropy_srcs=[kind, self.source.SeriesInstanceUID, self.identity.sha256])

    def instance_uid(self, kind: str) -> UID:
        """Identify the result."""
        source = (self.source.SOPInstanceUID, str(self.prediction.input.frame))
        return generate_uid(entropy_srcs=[kind, *source, self.identity.sha256, self.explained, self.variant])

    def series_number(self, kind: str) -> int:
        """Number the series of one kind of results."""
        return _SERIES_NUMBERS[kind]

    @property
    def instance_number(self) -> int:
        """Number the result as its image is."""
        return max(0, int(self.source.get("InstanceNumber") or 1))


def create_instance(context: ResultContext, sop_class: UID, kind: str, modality: str) -> Dataset:
    """Make a data set with the modules that do not depend on the content: patient, study, series, equipment, SOP."""
    now = datetime.now(UTC)
    instance = Dataset()
    instance.update({element.tag: element for element in context.source if element.keyword not in _OF_SOURCE})
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class, context.instance_uid(kind)
    instance.SeriesInstanceUID, instance.SeriesNumber = context.series_uid(kind), context.series_number(kind)
    instance.Modality, instance.SeriesDescription = modality, DISCLAIMER
    instance.InstanceNumber = context.instance_number
    instance.Manufacturer, instance.ManufacturerModelName = MANUFACTURER, context.identity.name[:64]
    instance.SoftwareVersions = context.identity.version[:64]
    instance.InstanceCreationDate = instance.ContentDate = f"{now:%Y%m%d}"
    instance.InstanceCreationTime = instance.ContentTime = f"{now:%H%M%S}"
    instance.TimezoneOffsetFromUTC = "+0000"
    instance.file_meta = _create_meta(instance)
    return instance


def encode_code(code: Code) -> Dataset:
    """Write a code as an item of a code sequence: PS3.3, section 8.8."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _create_meta(instance: Dataset) -> FileMetaDataset:
    """Make what a file begins with: PS3.10, section 7.1."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta
