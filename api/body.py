"""Getting the image out of a request: a multipart field `file`, or the raw body."""

import sys
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.errors import MalformedRequestError

FIELD = "file"
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


async def read_image(request: Request) -> bytes:
    """Read the bytes of the image.

    Raises:
        MalformedRequestError: If there is no image, or the form cannot be read.
        BodyTooLargeError: If the body is larger than is accepted.
    """
    is_form = request.headers.get("content-type", "").lower().startswith(_MULTIPART)
    data = await _read_form(request) if is_form else await request.body()
    if not data:
        raise MalformedRequestError(f"Expected an image in the form field {FIELD!r} or as the body; found no bytes.")
    return data


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory, which the bound on the body bounds: scans of patients are not written to a disk."""

    spool_max_size = sys.maxsize


async def _read_form(request: Request) -> bytes:
    parser = _InMemoryParser(request.headers, request.stream(), max_files=1, max_fields=8)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedRequestError("The multipart body cannot be read; expected one file.") from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise MalformedRequestError(f"Expected a file in the form field {FIELD!r}.")
        return await file.read()
    finally:
        await form.close()
