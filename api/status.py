"""Probes and the model card."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from api.dependencies import KeyCheck, Service, ServiceDep
from api.errors import problem_responses
from api.schemas import RESPONSE_HEADERS, CardResponse, StatusResponse
from api.telemetry.metrics import MEDIA_TYPE

router = APIRouter(tags=["status"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": RESPONSE_HEADERS},
    **problem_responses(500),
}
_METRICS: dict[int | str, dict[str, Any]] = {
    **_RESPONSES,
    200: {
        "headers": RESPONSE_HEADERS,
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'http_requests_total{method="POST",path="/predict",status="200"} 17.0\n',
            }
        },
    },
}
_NOT_READY = {**_RESPONSES, **problem_responses(503)}


@router.get("/livez", responses=_RESPONSES)
async def livez() -> StatusResponse:
    """Check that the process is alive."""
    return StatusResponse(status="alive")


@router.get("/readyz", responses=_NOT_READY)
@router.get("/health", responses=_NOT_READY)
async def readyz(_service: ServiceDep) -> StatusResponse:
    """Check that the model is loaded, warmed up and has passed its self-test."""
    return StatusResponse(status="ready")


@router.get("/metrics", response_class=PlainTextResponse, responses=_METRICS)
async def metrics(request: Request) -> Response:
    """Show the metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.render(), media_type=MEDIA_TYPE)


@router.get("/model", responses={**_NOT_READY, **problem_responses(401)}, dependencies=[KeyCheck])
async def model_card(service: ServiceDep) -> CardResponse:
    """Show the model card: the weights, their measured performance and their intended use."""
    return describe_card(service)


def describe_card(service: Service) -> CardResponse:
    """Put the card and what serves it into one response."""
    classifier, settings = service.classifier, service.settings
    return CardResponse(
        **classifier.card.describe(),
        gaps=classifier.card.list_gaps(),
        sha256=classifier.identity.sha256,
        engine=classifier.engine_name,
        threads=settings.threads,
        workers=settings.workers,
    )
