"""The files of DICOM results: a picture, and its report beside it."""

from pathlib import Path

from model.dicom_results.results import DicomResults
from model.host.atomic_file import write_file

CAPTURE_SUFFIX = ".sc.dcm"
REPORT_SUFFIX = ".sr.dcm"


def save_results(results: DicomResults, capture: Path) -> Path:
    """Write both results; return the path of the report.

    Args:
        capture: For the picture, ending with `CAPTURE_SUFFIX`.
    """
    report = capture.with_name(capture.name.removesuffix(CAPTURE_SUFFIX) + REPORT_SUFFIX)
    write_file(capture, results.capture)
    write_file(report, results.report)
    return report
