"""Probes and the model card."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from api.dependencies import KeyCheck, ServiceDep
from api.errors import problem_responses
from api.schemas import ANSWER_HEADERS, CardAnswer, DetectorAnswer, StatusAnswer
from api.telemetry.metrics import MEDIA_TYPE

router = APIRouter(tags=["status"])

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"headers": ANSWER_HEADERS},
    **problem_responses(HTTPStatus.INTERNAL_SERVER_ERROR),
}
_METRICS: dict[int | str, dict[str, Any]] = {
    **_ANSWER,
    200: {"headers": ANSWER_HEADERS, "content": {"text/plain": {"schema": {"type": "string"}}}},
}
_NOT_READY = {**_ANSWER, **problem_responses(HTTPStatus.SERVICE_UNAVAILABLE)}


@router.get("/livez", responses=_ANSWER)
async def livez() -> StatusAnswer:
    """Tell that the process answers."""
    return StatusAnswer(status="alive")


@router.get("/readyz", responses=_NOT_READY)
@router.get("/health", responses=_NOT_READY)
async def readyz(_service: ServiceDep) -> StatusAnswer:
    """Tell that the model is loaded, warmed up and has passed its self-test."""
    return StatusAnswer(status="ready")


@router.get("/metrics", response_class=PlainTextResponse, responses=_METRICS)
async def metrics(request: Request) -> Response:
    """Show the metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.render(), media_type=MEDIA_TYPE)


@router.get("/model", responses={**_NOT_READY, **problem_responses(HTTPStatus.UNAUTHORIZED)}, dependencies=[KeyCheck])
async def model_card(service: ServiceDep) -> CardAnswer:
    """Show the model card: what the weights are, what they were measured to do, and what they are for."""
    classifier = service.classifier
    card = classifier.card
    detector = card.describe()["outlier_detector"]
    return CardAnswer(
        name=card.name,
        version=card.version,
        sha256=classifier.identity.sha256,
        engine=classifier.engine_name,
        threads=service.settings.threads,
        workers=service.settings.workers,
        architecture=card.architecture,
        head=card.head,
        classes=list(card.classes),
        class_map=card.class_map,
        preprocessing=card.preprocessing,
        gradcam_layer=card.gradcam_layer,
        temperature=card.temperature,
        conformal=card.conformal,
        outlier_detector=detector and DetectorAnswer(**detector),
        review=card.review,
        metrics=card.metrics,
        training=card.training,
        intended_use=card.intended_use,
    )
