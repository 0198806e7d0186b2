"""The picture as a DICOM image: Secondary Capture, PS3.3 A.8.1.

Not `highdicom.sc.SCImage`: it demands an orientation of the patient, which a picture of two views does not have, leaves
out the study's description, and needs a third more memory for the largest pictures.
"""

import io

from highdicom import SOPClass
from highdicom.sr import CodedConcept
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from model.dicom.acquisition import HEAD_PARTS
from model.dicom_results.instance import DISCLAIMER, ResultContext


def create_capture(context: ResultContext, file: bytes) -> Dataset:
    """Make a Secondary Capture of a picture.

    Args:
        file: The picture, a PNG file, RGB, 8 bit.
    """
    source = context.source
    capture = SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        sop_class_uid=SecondaryCaptureImageStorage,
        modality="OT",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **context.instance_attributes("capture"),
    )
    context.inherit(capture)
    capture.ConversionType = "WSD"  # made by a workstation
    capture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    capture.BurnedInAnnotation = "YES"
    capture.ImageComments = DISCLAIMER
    capture.DerivationDescription = f"Grad-CAM of {context.explained} by {context.identity.name}"
    part = source.get("BodyPartExamined", "BRAIN")
    if part in HEAD_PARTS:
        capture.BodyPartExamined = part
    else:
        capture.Laterality = ""  # unknown; required unless an unpaired body part is named
    capture.PatientOrientation = ""  # unknown; the picture may show scan and overlay side by side
    if "LossyImageCompression" in source:
        capture.LossyImageCompression = source.LossyImageCompression
    capture.SourceImageSequence = [_refer_to_source(context)]
    _add_pixels(capture, file)
    return capture


def _refer_to_source(context: ResultContext) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = context.source.SOPClassUID
    reference.ReferencedSOPInstanceUID = context.source.SOPInstanceUID
    if context.frame_numbers:
        reference.ReferencedFrameNumber = list(context.frame_numbers)
    purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _add_pixels(capture: Dataset, file: bytes) -> None:
    with Image.open(io.BytesIO(file)) as picture:
        capture.Columns, capture.Rows = picture.size
        pixels = picture.tobytes()  # 50 MB for a large picture, and so without a copy more than needed
    capture.SamplesPerPixel, capture.PhotometricInterpretation, capture.PlanarConfiguration = 3, "RGB", 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PixelRepresentation = 7, 0
    capture.PixelData = pixels + b"\0" * (len(pixels) % 2)
    capture["PixelData"].VR = "OB"
