"""The only place where an error becomes a status: a table, and the handlers that apply it.

Responses are RFC 9457 problem details. Their texts come from the errors of `model.errors` and `api.exceptions`, never
from a library's exception; no response and no log line holds a file name or image content. Under `/v2` the same errors
have the form of the Open Inference Protocol, `{"error": detail}`.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.exceptions import (
    PROTOCOL_PATH,
    BodyTooLargeError,
    ClientGoneError,
    DeadlinePassedError,
    HeadTimeoutError,
    HeadTooLargeError,
    MalformedRequestError,
    NotReadyError,
    QueueFullError,
    StoppingError,
    TooManyConnectionsError,
    TooManyFilesError,
    UnauthorizedError,
    UnknownModelError,
    UploadTimeoutError,
)
from api.hints import describe_mismatch
from api.schemas import UNSTORED_HEADERS, Problem, ProtocolError, describe_header
from api.telemetry.logs import describe_defect
from model import errors as model_errors

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 1

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProblemKind:
    """The response to one kind of error."""

    status: int
    code: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)


EXAMPLE_REQUEST_ID = "57020dab8c2b4db88cd7cd7f23b63ecc"
_EXAMPLE_PATH = "/predict"
_MEDIA_TYPES: Mapping[type[BaseModel], str] = {Problem: PROBLEM_JSON, ProtocolError: "application/json"}
_RETRY = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_CLOSE = {"Connection": "close"}
_DESCRIPTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 0}),
    "Connection": ("The connection ends with this response.", {"const": "close"}),
    "WWW-Authenticate": ("How a key is sent.", {"type": "string"}),
}


KINDS: Mapping[type[Exception], ProblemKind] = {
    MalformedRequestError: ProblemKind(400, "malformed_request", "The request cannot be read"),
    ClientGoneError: ProblemKind(400, "client_gone", "The client has closed the connection", _CLOSE),
    model_errors.UnknownClassError: ProblemKind(400, "unknown_class", "The model has no such class"),
    model_errors.UnknownFrameError: ProblemKind(400, "unknown_frame", "The file has no such frame"),
    UnauthorizedError: ProblemKind(401, "unauthorized", "A valid API key is needed", {"WWW-Authenticate": "Bearer"}),
    UnknownModelError: ProblemKind(404, "unknown_model", "There is no such model"),
    model_errors.PictureFormatError: ProblemKind(406, "unfit_picture_format", "The format cannot hold this picture"),
    model_errors.ResultSourceError: ProblemKind(406, "no_dicom_source", "DICOM results need a DICOM image"),
    model_errors.ResultViewError: ProblemKind(406, "no_dicom_view", "This view has no DICOM form"),
    model_errors.ResultPackagesError: ProblemKind(406, "no_dicom_results", "DICOM results are not made here"),
    UploadTimeoutError: ProblemKind(408, "upload_timeout", "The body took too long to arrive", _CLOSE),
    HeadTimeoutError: ProblemKind(408, "head_timeout", "The head took too long to arrive", _CLOSE),
    BodyTooLargeError: ProblemKind(413, "body_too_large", "The body has too many bytes"),
    TooManyFilesError: ProblemKind(413, "too_many_files", "The body has too many files"),
    model_errors.ImageTooLargeError: ProblemKind(413, "too_many_pixels", "The image has too many pixels"),
    model_errors.UnsupportedFormatError: ProblemKind(415, "unsupported_format", "The format is not accepted"),
    model_errors.TruncatedImageError: ProblemKind(422, "damaged_image", "The image is incomplete or damaged"),
    model_errors.UnsupportedPixelsError: ProblemKind(422, "unsupported_pixels", "Pixels of this kind are not read"),
    model_errors.ImageTooSmallError: ProblemKind(422, "image_too_small", "The image has too few pixels"),
    model_errors.BlankImageError: ProblemKind(422, "blank_image", "The image is blank"),
    HeadTooLargeError: ProblemKind(431, "head_too_large", "The head has too many bytes", _CLOSE),
    NotReadyError: ProblemKind(503, "not_ready", "The service is not ready", _RETRY),
    StoppingError: ProblemKind(503, "stopping", "The service is about to stop", _RETRY | _CLOSE),
    QueueFullError: ProblemKind(503, "queue_full", "The service is full", _RETRY),
    TooManyConnectionsError: ProblemKind(
        503, "too_many_connections", "Too many clients are connected", _RETRY | _CLOSE
    ),
    DeadlinePassedError: ProblemKind(504, "deadline_passed", "The request waited too long"),
}
DEFECT = ProblemKind(500, "internal_error", "The service failed")
QUEUE_FULL = KINDS[QueueFullError]
DEFECT_DETAIL = "An unexpected error; report it with the request_id."


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems for the OpenAPI document."""
    return {status: _describe(status, _EXAMPLE_PATH) for status in statuses}


def protocol_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the same errors in the form of the Open Inference Protocol."""
    return {status: _describe(status, PROTOCOL_PATH) for status in statuses}


def problem_response(request_id: str, path: str, kind: ProblemKind, detail: str) -> Response:
    """Make the response for one problem."""
    problem = _create_problem(request_id, path, kind, detail)
    headers = {"Cache-Control": "no-store", **kind.headers}
    return JSONResponse(problem.model_dump(), kind.status, headers, _MEDIA_TYPES[type(problem)])


async def settle(result: Awaitable[Result], request: Request) -> Result | Problem:
    """Wait for one of several results; an error becomes its problem, as it would be for a request of its own.

    Raises:
        ClientGoneError: If nobody waits for any of them.
    """
    try:
        return await result
    except ClientGoneError:
        raise
    except Exception as error:  # noqa: BLE001  # the other results are sent all the same
        kind, detail = _find_kind(error), str(error)
        if kind is DEFECT:
            logger.error("defect", extra=describe_defect(error))
            detail = DEFECT_DETAIL
        else:
            logger.info("refused", extra={"code": kind.code})
        request.app.state.metrics.observe_rejection(kind.code)
        return create_plain_problem(request.state.request_id, request.url.path, kind, detail)


def add_error_handlers(app: FastAPI) -> None:
    """Register a handler for every error that is expected."""
    for error_type in KINDS:
        app.add_exception_handler(error_type, _handle_known)
    app.add_exception_handler(RequestValidationError, _handle_invalid_parameter)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)


def _create_problem(request_id: str, path: str, kind: ProblemKind, detail: str) -> Problem | ProtocolError:
    if path == PROTOCOL_PATH or path.startswith(f"{PROTOCOL_PATH}/"):
        return ProtocolError(error=detail)
    return create_plain_problem(request_id, path, kind, detail)


def create_plain_problem(request_id: str, path: str, kind: ProblemKind, detail: str) -> Problem:
    """Put one problem into the form of RFC 9457."""
    return Problem(
        type=f"urn:brain-tumor-mri:problem:{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=path,
        code=kind.code,
        request_id=request_id,
    )


def _describe(status: int, path: str) -> dict[str, Any]:
    kinds = [kind for kind in (*KINDS.values(), DEFECT) if kind.status == status]
    problems = {kind.code: _example(path, kind) for kind in kinds}
    (form,) = set(map(type, problems.values()))
    examples = {code: {"value": problem.model_dump()} for code, problem in problems.items()}
    schema = {"$ref": f"#/components/schemas/{form.__name__}"}
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "headers": {**UNSTORED_HEADERS, **_describe_headers(kinds)},
        "content": {_MEDIA_TYPES[form]: {"schema": schema, "examples": examples}},
    }


def _describe_headers(kinds: Sequence[ProblemKind]) -> dict[str, Any]:
    """Describe the headers of one status; those that all its kinds send are required."""
    return {
        name: describe_header(*_DESCRIPTIONS[name], required=all(name in kind.headers for kind in kinds))
        for name in _DESCRIPTIONS
        if any(name in kind.headers for kind in kinds)
    }


def _example(path: str, kind: ProblemKind) -> Problem | ProtocolError:
    return _create_problem(EXAMPLE_REQUEST_ID, path, kind, f"{kind.title}: why, and what to do.")


def _find_kind(error: Exception) -> ProblemKind:
    return next((KINDS[parent] for parent in type(error).__mro__ if parent in KINDS), DEFECT)


def _respond(request: Request, kind: ProblemKind, detail: str) -> Response:
    request.app.state.metrics.observe_rejection(kind.code)
    return problem_response(request.state.request_id, request.url.path, kind, detail)


async def _handle_known(request: Request, error: Exception) -> Response:
    kind = _find_kind(error)
    logger.info("refused", extra={"code": kind.code})
    return _respond(request, kind, str(error))


async def _handle_invalid_parameter(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": ""}
    where = " ".join(str(part) for part in first["loc"])
    return _respond(request, KINDS[MalformedRequestError], f"{where}: {first['msg']}")


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """Respond to what the framework itself refuses: unknown paths and methods, bad multipart bodies."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 400)
    kind = ProblemKind(int(status), status.phrase.lower().replace(" ", "_").replace("-", "_"), status.phrase)
    if status == 400:
        kind = KINDS[MalformedRequestError]
    headers = Headers(getattr(error, "headers", None) or {})
    detail = f"{request.method} {request.url.path}: {status.phrase}."
    if status in (404, 405):
        detail = describe_mismatch(request, headers.get("allow"))
    response = _respond(request, kind, detail)
    if "allow" in headers:
        response.headers["Allow"] = headers["allow"].replace("GET", "GET, HEAD")
    return response


async def _handle_disconnect(request: Request, _error: Exception) -> Response:
    return _respond(request, KINDS[ClientGoneError], "The connection was closed before the body had arrived.")
