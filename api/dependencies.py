"""The needs of endpoints, as types for their signatures.

All are `async`: FastAPI would run others in a thread, which costs a millisecond when cores are busy.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.body import read_image, read_images
from api.exceptions import NotReadyError, StoppingError, UnauthorizedError
from api.queue import ClientWatch, InferenceQueue
from api.schemas import ServedPrediction
from api.settings import Settings
from api.telemetry.metrics import Metrics
from api.telemetry.tracing import trace_prediction
from model.classifier import Classifier
from model.prediction import Prediction

_WHEN_NEEDED = "Needed only where the service was given keys."
_BEARER = HTTPBearer(auto_error=False, description=_WHEN_NEEDED)
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description=_WHEN_NEEDED)


@dataclass(frozen=True)
class Service:
    """The objects that live as long as the service."""

    classifier: Classifier
    queue: InferenceQueue
    metrics: Metrics
    settings: Settings

    def record(self, prediction: Prediction, queue_ms: float) -> ServedPrediction:
        """Complete a prediction with its time in the queue; count it and write it into the request's trace."""
        served = ServedPrediction.of(prediction, queue_ms)
        self.metrics.observe_prediction(served)
        trace_prediction(served)
        return served


async def get_service(request: Request) -> Service:
    """Get the objects that the lifespan made.

    Raises:
        NotReadyError: Before the start and after the end of the lifespan.
        StoppingError: After the signal to stop.
    """
    if request.app.state.draining:
        raise StoppingError("The service is about to stop; use another one, or try again in a moment.")
    service = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReadyError("The model is not loaded.")
    return cast(Service, service)


async def get_request_id(request: Request) -> str:
    """Get the id that the middleware gave the request."""
    return str(request.state.request_id)


async def watch_client(request: Request) -> ClientWatch:
    """Return a watch that ends when the client closes the connection; for use once the body has been read."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return watch


async def check_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    header: Annotated[str | None, Security(_HEADER)],
) -> None:
    """Let nobody pass who lacks a key, where the service has keys.

    Raises:
        UnauthorizedError: If none of the keys sent is known.
    """
    keys = request.app.state.keys
    offered = [key for key in (bearer and bearer.credentials, header) if key]
    if keys.enabled and not any(keys.accepts(key) for key in offered):
        raise UnauthorizedError(f"Send a valid key as `Authorization: Bearer KEY` or as `{_HEADER.model.name}: KEY`.")


KeyCheck = Depends(check_key)
ServiceDep = Annotated[Service, Depends(get_service)]
ImageDep = Annotated[bytes, Depends(read_image)]
ImagesDep = Annotated[list[bytes], Depends(read_images)]
ClientWatchDep = Annotated[ClientWatch, Depends(watch_client)]
RequestIdDep = Annotated[str, Depends(get_request_id)]
