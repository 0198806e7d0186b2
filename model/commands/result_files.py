"""Files that appear whole: DICOM results beside each other in a folder."""

import os
from pathlib import Path

from model.dicom_results.results import DicomResults

CAPTURE_SUFFIX = ".sc.dcm"
REPORT_SUFFIX = ".sr.dcm"
PART = ".part"


def save_results(results: DicomResults, capture: Path) -> Path:
    """Write both results, and say where the report is.

    Args:
        capture: Where the picture goes: a path that ends with `CAPTURE_SUFFIX`.
    """
    report = capture.with_name(capture.name.removesuffix(CAPTURE_SUFFIX) + REPORT_SUFFIX)
    capture.parent.mkdir(parents=True, exist_ok=True)
    write_whole(capture, results.capture)
    write_whole(report, results.report)
    return report


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that nobody sees before it is complete; an older one is replaced."""
    part = path.with_name(path.name + PART)
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
