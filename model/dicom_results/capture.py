"""The picture as a DICOM image: Secondary Capture, PS3.3 A.8.1."""

import io

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from model.dicom.acquisition import HEAD_PARTS
from model.dicom_results.instance import DISCLAIMER, ResultContext, create_instance, encode_code


def create_capture(context: ResultContext, png: bytes) -> Dataset:
    """Make a Secondary Capture of a picture.

    Args:
        png: RGB, 8 bit.
    """
    capture = create_instance(context, SecondaryCaptureImageStorage, "capture", "OT")
    capture.ConversionType = "WSD"  # made by a workstation
    capture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    capture.BurnedInAnnotation = "YES"
    capture.ImageComments = DISCLAIMER
    capture.DerivationDescription = f"Grad-CAM of {context.explained} by {context.identity.name}"
    part = context.source.get("BodyPartExamined", "BRAIN")
    if part in HEAD_PARTS:
        capture.BodyPartExamined = part
    else:
        capture.Laterality = ""  # not known; the standard wants it where no part without a pair is named
    capture.PatientOrientation = ""  # not known; the picture may show scan and overlay side by side
    if "LossyImageCompression" in context.source:
        capture.LossyImageCompression = context.source.LossyImageCompression
    capture.SourceImageSequence = [_refer_to_source(context)]
    _add_pixels(capture, png)
    return capture


def _refer_to_source(context: ResultContext) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = context.source.SOPClassUID
    reference.ReferencedSOPInstanceUID = context.source.SOPInstanceUID
    if context.frame_numbers:
        reference.ReferencedFrameNumber = list(context.frame_numbers)
    reference.PurposeOfReferenceCodeSequence = [encode_code(codes.DCM.SourceImageForImageProcessingOperation)]
    return reference


def _add_pixels(capture: Dataset, png: bytes) -> None:
    with Image.open(io.BytesIO(png)) as picture:
        capture.Columns, capture.Rows = picture.size
        pixels = picture.tobytes()  # of a large picture 50 MB, so no more copies than needed
    capture.SamplesPerPixel, capture.PhotometricInterpretation, capture.PlanarConfiguration = 3, "RGB", 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PixelRepresentation = 7, 0
    capture.PixelData = pixels + b"\0" * (len(pixels) % 2)
    capture["PixelData"].VR = "OB"
