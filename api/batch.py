"""`POST /predict/batch`: several images in one request, a prediction or a problem for each.

files: 0 1 2 3 4 ... -> lanes (at most `LANES` of them) -> InferenceQueue -> results, in the order of the files

A batch takes no more places in the queue than it has lanes, which leaves room for requests with one image.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from fastapi import APIRouter, Request, Response

from api.dependencies import ClientWatchDep, ImagesDep, KeyCheck, RequestIdDep, Service, ServiceDep
from api.errors import problem_responses, settle
from api.exceptions import BodyTooLargeError, ClientGoneError, MalformedRequestError
from api.predict import FrameQuery
from api.queue import ClientWatch
from api.schemas import UNSTORED_HEADERS, BatchItem, BatchResponse, Problem, ServedPrediction

PATH = "/predict/batch"
LANES = 2

router = APIRouter(tags=["prediction"], dependencies=[KeyCheck])

_RESPONSES = {
    **problem_responses(400, 401, 408, 413, 500, 503),
    200: {"description": "A prediction or a problem for each file, in their order.", "headers": UNSTORED_HEADERS},
}


@router.post(PATH, responses=_RESPONSES)
async def predict_batch(
    service: ServiceDep,
    images: ImagesDep,
    watch: ClientWatchDep,
    request_id: RequestIdDep,
    request: Request,
    response: Response,
    frame: FrameQuery = None,
) -> BatchResponse:
    """Classify several brain-MRI slices; one that cannot be classified does not fail the others."""
    results = await _Batch(service, request, images, frame).classify(watch)
    response.headers["Cache-Control"] = "no-store"
    return BatchResponse(results=results, model=service.classifier.identity, request_id=request_id)


@dataclass(frozen=True)
class _Batch:
    """The images of one request on their way through the queue."""

    service: Service
    request: Request
    images: list[bytes]
    frame: int | None

    async def classify(self, watch: ClientWatch) -> list[BatchItem]:
        """Classify all images, a few at once.

        Raises:
            ClientGoneError: If the client closed the connection before the last one's turn had come.
        """
        self.service.metrics.observe_batch(len(self.images))
        gone = asyncio.ensure_future(watch())
        waiting = iter(range(len(self.images)))
        lanes = [asyncio.ensure_future(self._run_lane(waiting, gone)) for _ in range(LANES)]
        try:
            items = await asyncio.gather(*lanes)
        finally:
            for task in (gone, *lanes):
                task.cancel()
        return sorted(chain.from_iterable(items), key=lambda item: item.index)

    async def _run_lane(self, waiting: Iterator[int], gone: asyncio.Future[object]) -> list[BatchItem]:
        """Classify one image after the other until none waits."""
        return [await self._settle(index, gone) for index in waiting]

    async def _settle(self, index: int, gone: asyncio.Future[object]) -> BatchItem:
        result = await settle(self._predict(self.images[index], gone), self.request)
        if isinstance(result, Problem):
            return BatchItem(index=index, prediction=None, problem=result)
        return BatchItem(index=index, prediction=result, problem=None)

    async def _predict(self, image: bytes, gone: asyncio.Future[object]) -> ServedPrediction:
        self._check_size(image)
        if gone.done():
            raise ClientGoneError("The connection was closed before the image's turn had come.")
        steps = self.service.classifier.predict_in_steps(image, self.frame)
        queued = await self.service.queue.run_patiently(steps, lambda: asyncio.shield(gone))
        return self.service.record(queued.result, queued.queue_ms)

    def _check_size(self, image: bytes) -> None:
        """Apply the bounds of a single request to each file."""
        max_bytes = self.service.settings.max_upload_bytes
        if not image:
            raise MalformedRequestError("Expected an image; found no bytes.")
        if len(image) > max_bytes:
            raise BodyTooLargeError(f"A file may have at most {max_bytes:,} bytes.")
