"""The picture of a prediction in the format that a client accepts: PNG, WebP, JPEG or DICOM."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request

from model.classifier import Classifier
from model.drawing.encoding import FileFormat
from model.drawing.overlay import View
from model.errors import PictureFormatError, ResultViewError
from model.prediction import Prediction

_MAX_RANGES = 32  # of an Accept header that are looked at
_WILDCARDS = ("image/*", "*/*")


class PictureFormat(StrEnum):
    """The media type of a picture."""

    PNG = "image/png"
    WEBP = "image/webp"
    JPEG = "image/jpeg"
    CAPTURE = "application/dicom"
    """The picture alone."""
    BOTH = "multipart/related"
    """The picture and the report."""

    def can_show(self, view: View) -> bool:
        """Whether there is such a picture of a view: JPEG has no transparency, and layers have no DICOM form."""
        if self is PictureFormat.JPEG:
            return view is not View.EVIDENCE
        return self in _FILE_FORMATS or not view.is_layer


_FILE_FORMATS = {
    PictureFormat.PNG: FileFormat.PNG,
    PictureFormat.WEBP: FileFormat.WEBP,
    PictureFormat.JPEG: FileFormat.JPEG,
}


@dataclass(frozen=True)
class Picture:
    """A prediction, and the response body that shows it."""

    prediction: Prediction
    body: bytes
    media_type: str


def choose_format(accept: str, view: View) -> PictureFormat:
    """Choose the format that an Accept header prefers of those that can show a view; RFC 9110, section 12.5.1.

    Of several that are wanted as much it is the one named first. DICOM must be named. A client that accepts anything,
    or names nothing that we have, gets a PNG.

    Raises:
        PictureFormatError: If it accepts JPEG alone, which cannot show the view.
        ResultViewError: If it accepts DICOM alone, which cannot show the view.
    """
    ranges = _read_ranges(accept)
    ranks = {form: _rank(form, ranges) for form in PictureFormat}
    wanted = sorted((form for form in ranks if ranks[form][0] > 0), key=ranks.__getitem__, reverse=True)
    if not wanted:
        return PictureFormat.PNG
    for form in wanted:
        if form.can_show(view):
            return form
    if wanted[0] is PictureFormat.JPEG:
        raise PictureFormatError(f"JPEG has no transparency: accept image/png or image/webp for the view {view}.")
    raise ResultViewError(f"Expected a view with caption for DICOM, such as {View.OVERLAY}; found {view}.")


def join_parts(parts: tuple[bytes, ...]) -> tuple[bytes, str]:
    """Join DICOM files to one body, as DICOMweb does; RFC 2387 and PS3.18, section 8.6.1.2.

    Returns:
        The body and its media type.
    """
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: {PictureFormat.CAPTURE}\r\n\r\n".encode()
    body = b"".join(piece for part in parts for piece in (head, part, b"\r\n"))
    media_type = f'{PictureFormat.BOTH}; type="{PictureFormat.CAPTURE}"; boundary={boundary}'
    return body + f"--{boundary}--\r\n".encode(), media_type


def draw_picture(
    classifier: Classifier,
    image: bytes,
    form: PictureFormat,
    target: str | None,
    alpha: float,
    view: View,
    frame: int | None,
) -> Picture:
    """Classify an image and draw the evidence in a format that can show the view.

    Raises:
        InputError: As `Classifier.visualize` and `write_results` of DICOM results.
    """
    if form in _FILE_FORMATS:
        visualization = classifier.visualize(image, target, alpha, view, frame, _FILE_FORMATS[form])
        return Picture(visualization.prediction, visualization.picture, form)
    from model.dicom_results.results import (  # here: it takes time to import
        check_source,
        describe_variant,
        write_results,
    )

    check_source(image)
    visualization = classifier.visualize(image, target, alpha, view, frame)
    results = write_results(image, visualization, describe_variant(alpha, view))
    if form is PictureFormat.CAPTURE:
        return Picture(visualization.prediction, results.capture, form)
    return Picture(visualization.prediction, *join_parts((results.capture, results.report)))


async def read_accept(request: Request) -> str:
    """Read what the client accepts."""
    return ",".join(request.headers.getlist("accept"))


AcceptDep = Annotated[str, Depends(read_accept)]


def _read_ranges(accept: str) -> Mapping[str, tuple[float, int]]:
    """Read the media ranges of an Accept header, each with its quality and, falling, its place."""
    ranges: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.lower().split(",")[:_MAX_RANGES]):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        rank = (_read_quality(parameters), -place)
        ranges[name] = max(rank, ranges.get(name, rank))
    return ranges


def _rank(form: PictureFormat, ranges: Mapping[str, tuple[float, int]]) -> tuple[float, int]:
    """Find the rank of the most specific range that a format is in; (0, 0) if it is in none."""
    names = (form, *_WILDCARDS) if form in _FILE_FORMATS else (form,)
    return next((ranges[name] for name in names if name in ranges), (0.0, 0))


def _read_quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
