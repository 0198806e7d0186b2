"""Reads images from a request: a multipart field `file`, several named `files`, or the raw body."""

import sys
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.exceptions import MalformedRequestError, TooManyFilesError

FIELD = "file"
BATCH_FIELD = "files"
_MAX_OTHER_FIELDS = 100  # ignored
_MAX_NAME = 40  # characters of another field's name that an error quotes
_MULTIPART = "multipart/form-data"
_IMAGE_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "application/dicom",
    "application/octet-stream",
)
_BINARY = {"type": "string", "format": "binary", "minLength": 1}

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The image, as a form field or as the body itself. Its bytes decide the format, not the header.",
        "content": {
            _MULTIPART: {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}},
                "encoding": {FIELD: {"contentType": ", ".join(_IMAGE_TYPES)}},
            },
            **{image_type: {"schema": _BINARY} for image_type in _IMAGE_TYPES},
        },
    }
}


def describe_form(max_files: int) -> dict[str, Any]:
    """Describe, for the OpenAPI document, a form with several images."""
    file = {"type": "string", "format": "binary"}  # one without bytes is a problem of its own
    images = {"type": "array", "items": file, "minItems": 1, "maxItems": max_files}
    return {
        "required": True,
        "description": "The images, as form fields of one name. Their bytes decide the formats, not their headers.",
        "content": {
            _MULTIPART: {"schema": {"type": "object", "required": [BATCH_FIELD], "properties": {BATCH_FIELD: images}}}
        },
    }


async def read_image(request: Request) -> bytes:
    """Read the bytes of the image.

    Raises:
        MalformedRequestError: If there is no image, or the form cannot be read.
        BodyTooLargeError: If the body is larger than is accepted.
    """
    data = await _read_file(request) if _is_form(request) else await request.body()
    if not data:
        raise MalformedRequestError(f"Expected an image in the form field {FIELD!r} or as the body; found no bytes.")
    return data


async def read_images(request: Request) -> list[bytes]:
    """Read the bytes of several images, in their order; some may have none.

    Raises:
        MalformedRequestError: If there is no image, or the form cannot be read.
        TooManyFilesError: If there are more than are accepted.
        BodyTooLargeError: If the body is larger than is accepted.
    """
    if not _is_form(request):
        raise MalformedRequestError(f"Expected a {_MULTIPART} body with files named {BATCH_FIELD!r}.")
    files = await _read_form(request, BATCH_FIELD, request.app.state.max_batch)
    if not files:
        raise MalformedRequestError(f"Expected at least one file in form fields named {BATCH_FIELD!r}.")
    return files


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory, which the bound on the body bounds: scans of patients are not written to a disk."""

    spool_max_size = sys.maxsize

    @property
    def has_too_many_files(self) -> bool:
        """Whether the number of files ended the parsing."""
        return self._current_files > self.max_files


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith(_MULTIPART)


async def _read_file(request: Request) -> bytes:
    try:
        (data,) = await _read_form(request, FIELD, 1)
    except (TooManyFilesError, ValueError) as error:
        raise MalformedRequestError(f"Expected one file in the form field {FIELD!r}.") from error
    return data


async def _read_form(request: Request, field: str, max_files: int) -> list[bytes]:
    """Read the form's files of one name."""
    parser = _InMemoryParser(request.headers, request.stream(), max_files=max_files, max_fields=_MAX_OTHER_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if parser.has_too_many_files:
            raise TooManyFilesError(f"The body may have at most {max_files:,} files; send several.") from error
        raise MalformedRequestError("The multipart body cannot be read.") from error
    try:
        values = form.getlist(field)
        if form and not values:
            raise MalformedRequestError(f"Expected the form field {field!r}; found {next(iter(form))[:_MAX_NAME]!r}.")
        files = [value for value in values if isinstance(value, UploadFile)]
        if len(files) < len(values):
            raise MalformedRequestError(f"Expected files alone in form fields named {field!r}; found text.")
        return [await file.read() for file in files]
    finally:
        await form.close()
