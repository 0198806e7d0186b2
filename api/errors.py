"""The only place where an error becomes a status: a table, and the handlers that apply it.

Answers are RFC 9457 problem details. Their text is written in `model.errors`' and this module's own errors,
never taken from a library's exception; no answer and no log line holds a file name or image content.
Under `/v2` the Open Inference Protocol has a form of its own for the same errors, `{"error": detail}`.
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
from api.schemas import UNSTORED_HEADERS, Problem, ProtocolError, describe_header
from api.telemetry.logs import describe_defect
from model import errors as model_errors

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 1

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProblemKind:
    """How one kind of error is told to the client."""

    status: HTTPStatus
    code: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)


_EXAMPLE_PATH = "/predict"
_MEDIA_TYPES: Mapping[type[BaseModel], str] = {Problem: PROBLEM_JSON, ProtocolError: "application/json"}
_RETRY = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_CLOSE = {"Connection": "close"}
_DESCRIPTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 0}),
    "Connection": ("The connection ends with this answer.", {"const": "close"}),
    "WWW-Authenticate": ("How a key is sent.", {"type": "string"}),
}


KINDS: Mapping[type[Exception], ProblemKind] = {
    MalformedRequestError: ProblemKind(HTTPStatus.BAD_REQUEST, "malformed_request", "The request cannot be read"),
    UnauthorizedError: ProblemKind(
        HTTPStatus.UNAUTHORIZED, "unauthorized", "A valid API key is needed", {"WWW-Authenticate": "Bearer"}
    ),
    UploadTimeoutError: ProblemKind(
        HTTPStatus.REQUEST_TIMEOUT, "upload_timeout", "The body took too long to arrive", _CLOSE
    ),
    HeadTimeoutError: ProblemKind(
        HTTPStatus.REQUEST_TIMEOUT, "head_timeout", "The head took too long to arrive", _CLOSE
    ),
    HeadTooLargeError: ProblemKind(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "The head has too many bytes", _CLOSE
    ),
    ClientGoneError: ProblemKind(HTTPStatus.BAD_REQUEST, "client_gone", "The client has closed the connection", _CLOSE),
    UnknownModelError: ProblemKind(HTTPStatus.NOT_FOUND, "unknown_model", "There is no such model"),
    model_errors.UnknownClassError: ProblemKind(HTTPStatus.BAD_REQUEST, "unknown_class", "The model has no such class"),
    model_errors.UnknownFrameError: ProblemKind(HTTPStatus.BAD_REQUEST, "unknown_frame", "The file has no such frame"),
    BodyTooLargeError: ProblemKind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The body has too many bytes"
    ),
    TooManyFilesError: ProblemKind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_files", "The body has too many files"
    ),
    model_errors.ResultSourceError: ProblemKind(
        HTTPStatus.NOT_ACCEPTABLE, "no_dicom_source", "DICOM results need a DICOM image"
    ),
    model_errors.ResultViewError: ProblemKind(
        HTTPStatus.NOT_ACCEPTABLE, "no_dicom_view", "This view has no DICOM form"
    ),
    model_errors.ResultPackagesError: ProblemKind(
        HTTPStatus.NOT_ACCEPTABLE, "no_dicom_results", "DICOM results are not made here"
    ),
    model_errors.ImageTooLargeError: ProblemKind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_pixels", "The image has too many pixels"
    ),
    model_errors.UnsupportedFormatError: ProblemKind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_format", "The format is not accepted"
    ),
    model_errors.TruncatedImageError: ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "damaged_image", "The image is incomplete or damaged"
    ),
    model_errors.UnsupportedPixelsError: ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "unsupported_pixels", "The pixels are stored in a way that is not read"
    ),
    model_errors.ImageTooSmallError: ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "image_too_small", "The image has too few pixels"
    ),
    model_errors.BlankImageError: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "blank_image", "The image is blank"),
    NotReadyError: ProblemKind(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "The service is not ready", _RETRY),
    StoppingError: ProblemKind(
        HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "The service is about to stop", {**_RETRY, **_CLOSE}
    ),
    QueueFullError: ProblemKind(HTTPStatus.SERVICE_UNAVAILABLE, "queue_full", "The service is full", _RETRY),
    TooManyConnectionsError: ProblemKind(
        HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections", "Too many clients are connected", {**_RETRY, **_CLOSE}
    ),
    DeadlinePassedError: ProblemKind(HTTPStatus.GATEWAY_TIMEOUT, "deadline_passed", "The request waited too long"),
}
DEFECT = ProblemKind(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The service failed")
QUEUE_FULL = KINDS[QueueFullError]
DEFECT_DETAIL = "An unexpected error; report it with the request_id."


def problem_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Describe problems for the OpenAPI document."""
    return {int(status): _describe(status, _EXAMPLE_PATH) for status in statuses}


def protocol_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Describe the same errors in the form of the Open Inference Protocol."""
    return {int(status): _describe(status, PROTOCOL_PATH) for status in statuses}


def problem_response(request_id: str, path: str, kind: ProblemKind, detail: str) -> Response:
    """Make the answer for one problem."""
    told = _create_problem(request_id, path, kind, detail)
    headers = {"Cache-Control": "no-store", **kind.headers}
    return JSONResponse(told.model_dump(), kind.status, headers, _MEDIA_TYPES[type(told)])


async def settle(result: Awaitable[Result], request: Request) -> Result | Problem:
    """Wait for what is one of several results; an error becomes its problem, as the whole answer would be otherwise.

    Raises:
        ClientGoneError: If nobody waits for any of them.
    """
    try:
        return await result
    except ClientGoneError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the others are answered
        kind, detail = _find_kind(error), str(error)
        if kind is DEFECT:
            logger.error("defect", extra=describe_defect(error))
            detail = DEFECT_DETAIL
        else:
            logger.info("refused", extra={"code": kind.code})
        request.app.state.metrics.observe_rejection(kind.code)
        return _create_plain_problem(request.state.request_id, request.url.path, kind, detail)


def add_error_handlers(app: FastAPI) -> None:
    """Register a handler for every error that is expected."""
    for error_type in KINDS:
        app.add_exception_handler(error_type, _answer_known)
    app.add_exception_handler(RequestValidationError, _answer_invalid_parameter)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)


def _create_problem(request_id: str, path: str, kind: ProblemKind, detail: str) -> Problem | ProtocolError:
    if path == PROTOCOL_PATH or path.startswith(f"{PROTOCOL_PATH}/"):
        return ProtocolError(error=detail)
    return _create_plain_problem(request_id, path, kind, detail)


def _create_plain_problem(request_id: str, path: str, kind: ProblemKind, detail: str) -> Problem:
    return Problem(
        type=f"urn:brain-tumor-mri:problem:{kind.code}",
        title=kind.title,
        status=int(kind.status),
        detail=detail,
        instance=path,
        code=kind.code,
        request_id=request_id,
    )


def _describe(status: HTTPStatus, path: str) -> dict[str, Any]:
    kinds = [kind for kind in (*KINDS.values(), DEFECT) if kind.status is status]
    told = {kind.code: _example(path, kind) for kind in kinds}
    (form,) = set(map(type, told.values()))
    examples = {code: {"value": problem.model_dump()} for code, problem in told.items()}
    schema = {"$ref": f"#/components/schemas/{form.__name__}"}
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "headers": {**UNSTORED_HEADERS, **_describe_headers(kinds)},
        "content": {_MEDIA_TYPES[form]: {"schema": schema, "examples": examples}},
    }


def _describe_headers(kinds: Sequence[ProblemKind]) -> dict[str, Any]:
    """Describe what the kinds of one status send; what each of them sends is required."""
    return {
        name: describe_header(*_DESCRIPTIONS[name], required=all(name in kind.headers for kind in kinds))
        for name in _DESCRIPTIONS
        if any(name in kind.headers for kind in kinds)
    }


def _example(path: str, kind: ProblemKind) -> Problem | ProtocolError:
    return _create_problem("57020dab8c2b4db88cd7cd7f23b63ecc", path, kind, f"{kind.title}: why, and what to do.")


def _find_kind(error: Exception) -> ProblemKind:
    return next((KINDS[parent] for parent in type(error).__mro__ if parent in KINDS), DEFECT)


def _answer(request: Request, kind: ProblemKind, detail: str) -> Response:
    request.app.state.metrics.observe_rejection(kind.code)
    return problem_response(request.state.request_id, request.url.path, kind, detail)


async def _answer_known(request: Request, error: Exception) -> Response:
    kind = _find_kind(error)
    logger.info("refused", extra={"code": kind.code})
    return _answer(request, kind, str(error))


async def _answer_invalid_parameter(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": ""}
    where = " ".join(str(part) for part in first["loc"])
    return _answer(request, KINDS[MalformedRequestError], f"{where}: {first['msg']}")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: unknown paths and methods, bad multipart bodies."""
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    kind = ProblemKind(status, status.phrase.lower().replace(" ", "_").replace("-", "_"), status.phrase)
    if status is HTTPStatus.BAD_REQUEST:
        kind = KINDS[MalformedRequestError]
    response = _answer(request, kind, f"{request.method} {request.url.path}: {status.phrase}.")
    if isinstance(error, HTTPException) and error.headers and "allow" in {name.lower() for name in error.headers}:
        response.headers.update(error.headers)
    return response


async def _answer_nobody(request: Request, _error: Exception) -> Response:
    return _answer(request, KINDS[ClientGoneError], "The connection was closed before the body had arrived.")
