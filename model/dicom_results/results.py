"""DICOM results for a DICOM image, for an archive to keep beside it: the picture, and the answer as a report.

image -> prediction, picture -> model.dicom_results.capture -> file
  |               |
  |               +-----------> model.dicom_results.report -> file   (highdicom, of requirements/dicom.txt)
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
from model.dicom.image import DAMAGE, keep_quiet
from model.dicom_results.capture import create_capture
from model.dicom_results.instance import ResultContext
from model.dicom_results.source import read_source
from model.drawing.overlay import View
from model.errors import InputError, ResultPackagesError, TruncatedImageError
from model.prediction import Visualization

_large_picture = threading.Lock()


@dataclass(frozen=True)
class DicomResults:
    """Two DICOM Part 10 files.

    Attributes:
        capture: The picture, Secondary Capture.
        report: The answer, Comprehensive 3D SR.
    """

    capture: bytes
    report: bytes


def check_packages() -> None:
    """Check that results can be made at all.

    Raises:
        ResultPackagesError: If highdicom is not installed.
    """
    if find_spec("highdicom") is None:
        raise ResultPackagesError(
            "DICOM results are not made here: the packages of requirements/dicom.txt are not installed."
        )


def check_source(data: bytes) -> None:
    """Check that results can be made for an image, before it is judged; the errors are those of `write_results`."""
    check_packages()
    _read_source(data)


def describe_variant(alpha: float, view: View) -> str:
    """Tell pictures of one class apart; those of another variant are other instances."""
    return f"{alpha!r} {view}"


def write_results(data: bytes, visualization: Visualization, variant: str | None = None) -> DicomResults:
    """Write the results for an image.

    Args:
        data: The image, a DICOM Part 10 file.
        visualization: What `Classifier.visualize` made of it.
        variant: See `describe_variant`; by default that of the default picture.

    Raises:
        ResultSourceError: If the image is no DICOM file, or lacks the identifiers that results refer to.
        ResultPackagesError: If highdicom is not installed.
        TruncatedImageError: If the header is damaged.
    """
    check_packages()
    from model.dicom_results.report import create_report

    context = ResultContext.of(
        _read_source(data), visualization, variant or describe_variant(DEFAULT_ALPHA, View.OVERLAY)
    )
    picture = visualization.prediction.input
    # Three bytes a pixel are held three times over; of large pictures one after the other.
    with _large_picture if picture.width * picture.height > LARGE_IMAGE_PIXELS else nullcontext():
        capture = _write(create_capture(context, visualization.png))
    return DicomResults(capture, _write(create_report(context)))


def _read_source(data: bytes) -> Dataset:
    keep_quiet()
    try:
        return read_source(data)
    except InputError:
        raise
    except DAMAGE as error:
        raise TruncatedImageError("The DICOM header is damaged; send the complete file.") from error


def _write(instance: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()
