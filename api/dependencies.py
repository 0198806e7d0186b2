"""What endpoints need, as types for their signatures."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.body import read_image
from api.errors import NotReadyError
from api.inference import InferenceQueue
from model.classifier import Classifier


@dataclass(frozen=True)
class Service:
    """What the lifespan made: the loaded model, and the threads that run it."""

    classifier: Classifier
    queue: InferenceQueue


def get_service(request: Request) -> Service:
    """Find what the lifespan made.

    Raises:
        NotReadyError: Before the start and after the end of the lifespan.
    """
    service = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReadyError("The model is not loaded.")
    return cast(Service, service)


def get_request_id(request: Request) -> str:
    """Find the id that the middleware gave the request."""
    return str(request.state.request_id)


ServiceDep = Annotated[Service, Depends(get_service)]
ImageDep = Annotated[bytes, Depends(read_image)]
RequestIdDep = Annotated[str, Depends(get_request_id)]
