"""What endpoints need, as types for their signatures.

All of it is `async`: FastAPI would send each other one through a thread, which costs a millisecond when cores are busy.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.body import read_image, read_images
from api.exceptions import NotReadyError, StoppingError, UnauthorizedError
from api.queue import ClientWatch, InferenceQueue
from api.settings import Settings
from api.telemetry.metrics import Metrics
from model.classifier import Classifier

_WHEN_NEEDED = "Needed only where the service was given keys."
_BEARER = HTTPBearer(auto_error=False, description=_WHEN_NEEDED)
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description=_WHEN_NEEDED)


@dataclass(frozen=True)
class Service:
    """What the lifespan made: the loaded model, the threads that run it, what is told about them, and what made it."""

    classifier: Classifier
    queue: InferenceQueue
    metrics: Metrics
    settings: Settings


async def get_service(request: Request) -> Service:
    """Find what the lifespan made.

    Raises:
        NotReadyError: Before the start and after the end of the lifespan.
        StoppingError: After the signal to stop.
    """
    if request.app.state.draining:
        raise StoppingError("The service is about to stop; ask another one, or try again in a moment.")
    service = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReadyError("The model is not loaded.")
    return cast(Service, service)


async def get_request_id(request: Request) -> str:
    """Find the id that the middleware gave the request."""
    return str(request.state.request_id)


async def watch_client(request: Request) -> ClientWatch:
    """Make what ends when the client closes the connection; to be used when the body has been read."""

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
