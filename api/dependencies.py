"""The needs of endpoints, as types for their signatures.

All are `async`: FastAPI would run others in a thread, which costs a millisecond when cores are busy. Each costs a
fiftieth of a millisecond all the same: what an image's endpoint needs is one of them.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.body import read_image, read_images
from api.exceptions import NotReadyError, StoppingError, UnauthorizedError
from api.keys import KEY_HEADER, read_offered_keys
from api.queue import ClientWatch, InferenceQueue
from api.schemas import ServedPrediction
from api.settings import Settings
from api.telemetry.metrics import Metrics
from api.telemetry.tracing import trace_prediction
from model.classifier import Classifier
from model.prediction import Prediction


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


@dataclass(frozen=True)
class ImageRequest:
    """Everything that the prediction of one image needs of its request.

    Attributes:
        image: The bytes of the image.
        client: Ends when the client closes the connection.
        id: That the middleware gave the request.
    """

    service: Service
    image: bytes
    client: ClientWatch
    id: str


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


async def check_key(request: Request) -> None:
    """Let nobody pass who lacks a key, where the service has keys.

    Raises:
        UnauthorizedError: If none of the keys sent is known.
    """
    keys = request.app.state.keys
    if keys.enabled and not any(keys.accepts(key) for key in read_offered_keys(request.headers)):
        raise UnauthorizedError(f"Send a valid key as `Authorization: Bearer KEY` or as `{KEY_HEADER}: KEY`.")


async def read_image_request(request: Request) -> ImageRequest:
    """Check the key, and read the image; errors are those of the parts."""
    await check_key(request)
    service = await get_service(request)
    return ImageRequest(service, await read_image(request), await watch_client(request), await get_request_id(request))


KeyCheck = Depends(check_key)
ServiceDep = Annotated[Service, Depends(get_service)]
ImageRequestDep = Annotated[ImageRequest, Depends(read_image_request)]
ImagesDep = Annotated[list[bytes], Depends(read_images)]
ClientWatchDep = Annotated[ClientWatch, Depends(watch_client)]
RequestIdDep = Annotated[str, Depends(get_request_id)]
