"""DICOM results of a DICOM image, to be stored beside it: the picture, and the prediction as a report.

image -> prediction, picture -> model.dicom_results.capture -> file
  |               |
  |               +-----------> model.dicom_results.report -> file
  model.dicom_results.source
"""

import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec

import pydicom
from pydicom.dataset import Dataset

from model.classifier import DEFAULT_ALPHA, LARGE_IMAGE_PIXELS
from model.dicom_results.instance import ResultContext
from model.dicom_results.source import read_source
from model.drawing.overlay import View
from model.errors import ResultPackagesError
from model.prediction import Visualization

_large_picture = threading.Lock()


@dataclass(frozen=True)
class DicomResults:
    """Two DICOM Part 10 files: the picture as Secondary Capture, and the report as Comprehensive 3D SR."""

    capture: bytes
    report: bytes


def can_write_results() -> bool:
    """True if highdicom, of requirements/dicom.txt, is installed."""
    return find_spec("highdicom") is not None


def check_packages() -> None:
    """Check that results can be made at all.

    Raises:
        ResultPackagesError: If highdicom is not installed.
    """
    if not can_write_results():
        raise ResultPackagesError("DICOM results need packages that are not installed: see requirements/dicom.txt.")


def check_source(data: bytes) -> None:
    """Check an image before it is classified; the errors are those of `write_results`."""
    check_packages()
    read_source(data)


def describe_variant(alpha: float, view: View) -> str:
    """Describe the options of a picture, which distinguish instances of one class."""
    return f"{alpha!r} {view}"


def write_results(data: bytes, visualization: Visualization, variant: str | None = None) -> DicomResults:
    """Write the results of an image.

    Args:
        data: The image, a DICOM Part 10 file.
        visualization: Of this image, by `Classifier.visualize`, with a lossless picture.
        variant: See `describe_variant`; by default that of the default picture.

    Raises:
        ResultSourceError: If the image is no DICOM file, or lacks identifiers that results refer to.
        ResultPackagesError: If highdicom is not installed.
        TruncatedImageError: If the header is damaged.
    """
    check_packages()
    from model.dicom_results.capture import create_capture  # here, because they need highdicom
    from model.dicom_results.report import create_report

    prediction = visualization.prediction
    variant = variant or describe_variant(DEFAULT_ALPHA, View.OVERLAY)
    context = ResultContext(read_source(data), prediction, visualization.explained, variant)
    report = _write(create_report(context))
    # Three bytes a pixel are held three times over; large pictures are written one after the other.
    is_large = prediction.input.width * prediction.input.height > LARGE_IMAGE_PIXELS
    with _large_picture if is_large else nullcontext():
        return DicomResults(_write(create_capture(context, visualization.picture)), report)


def _write(instance: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()
