"""Pictures and DICOM results, in a folder that mirrors the folders of their images."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.commands.image_files import ImageFile
from model.dicom_results.results import DicomResults
from model.errors import OutputError
from model.host.atomic_file import write_file

PICTURE_SUFFIX = ".png"
CAPTURE_SUFFIX = ".sc.dcm"
REPORT_SUFFIX = ".sr.dcm"
_MAX_NAME_BYTES = 200  # of 255 that file systems allow; slices of volumes and numbers need some


def plan_paths(folder: Path, files: Sequence[ImageFile], suffix: str) -> Iterator[Path]:
    """Choose a path for the result of each file: `scans/deep/a.jpg`, found in `scans`, gets `folder/deep/a.jpg.png`.

    If two files have the same place (of two folders, or a file named twice), the later one gets a number. The choice
    depends on the arguments only, so that a resumed run chooses the same.

    Raises:
        OutputError: If the results would be in a folder of images to classify.
    """
    for root in {file.root for file in files if file.root}:
        if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
            raise OutputError(f"{folder} is in {root}, whose images are classified; write the results elsewhere")
    taken = {os.path.realpath(file.path) for file in files}  # no result replaces a scan
    for file in files:
        path = place_result(folder, file.place, suffix)
        number = 1
        while os.path.realpath(path) in taken:
            number += 1
            path = place_result(folder, file.place, f"-{number}{suffix}")
        taken.add(os.path.realpath(path))
        yield path


def place_result(folder: Path, place: Path, suffix: str) -> Path:
    """Choose the path of a result; long names are shortened, with a hash that tells them apart."""
    name, encoded = place.name, os.fsencode(place.name)
    if len(encoded) > _MAX_NAME_BYTES:
        name = encoded[: _MAX_NAME_BYTES - 16].decode(errors="ignore") + hashlib.sha256(encoded).hexdigest()[:16]
    return folder / place.with_name(name + suffix)


def save_picture(picture: bytes, path: Path) -> None:
    """Write a picture into a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)


def save_dicom(results: DicomResults, capture: Path) -> Path:
    """Write both results; return the path of the report.

    Args:
        capture: For the picture, ending with `CAPTURE_SUFFIX`.
    """
    report = capture.with_name(capture.name.removesuffix(CAPTURE_SUFFIX) + REPORT_SUFFIX)
    write_file(capture, results.capture)
    write_file(report, results.report)
    return report
