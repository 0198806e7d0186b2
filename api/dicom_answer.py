"""The picture of a prediction as PNG or DICOM: the format that a client accepts, and both DICOM results as one body."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request

from model.classifier import Classifier
from model.drawing.overlay import View
from model.errors import ResultViewError
from model.prediction import Prediction

_MAX_RANGES = 32  # of an Accept header that are looked at


class PictureFormat(StrEnum):
    """The media type of a picture."""

    PNG = "image/png"
    CAPTURE = "application/dicom"
    """The picture alone."""
    BOTH = "multipart/related"
    """The picture and the report."""


@dataclass(frozen=True)
class Picture:
    """A prediction, and the response body that shows it."""

    prediction: Prediction
    body: bytes
    media_type: str


def choose_format(accept: str) -> PictureFormat:
    """Choose the format that an Accept header prefers; RFC 9110, section 12.5.1.

    DICOM must be named. A client that accepts anything, or names nothing that we have, gets a PNG.
    """
    best, highest = PictureFormat.PNG, 0.0
    for part in accept.lower().split(",")[:_MAX_RANGES]:
        name, *parameters = (piece.strip() for piece in part.split(";"))
        form = PictureFormat.PNG if name in ("*/*", "image/*") else next((f for f in PictureFormat if f == name), None)
        quality = _read_quality(parameters)
        if form is not None and quality > highest:
            best, highest = form, quality
    return best


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
    """Classify an image and draw the evidence in the wanted format.

    Raises:
        InputError: As `Classifier.visualize` and `write_results` of DICOM results; if the view has no DICOM form.
    """
    if form is PictureFormat.PNG:
        visualization = classifier.visualize(image, target, alpha, view, frame)
        return Picture(visualization.prediction, visualization.png, form)
    if view in (View.EVIDENCE, View.SCAN):
        raise ResultViewError(f"Expected a view with caption for DICOM, such as {View.OVERLAY}; found {view}.")
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


async def read_accept(request: Request) -> PictureFormat:
    """Read the format that the client prefers."""
    return choose_format(",".join(request.headers.getlist("accept")))


PictureFormatDep = Annotated[PictureFormat, Depends(read_accept)]


def _read_quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
