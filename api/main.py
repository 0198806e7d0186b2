"""Assembles the service."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from api import batch, predict, status
from api.cors import allow_origins
from api.dependencies import Service
from api.docs.document import TAGS, complete_document
from api.docs.swagger import add_docs
from api.errors import PROBLEM_JSON, add_error_handlers
from api.exceptions import PROTOCOL_PATH
from api.keys import KeyRing
from api.middleware import BodyLimit, RequestContext
from api.page.routes import add_page
from api.protocol import routes as inference_protocol
from api.queue import InferenceQueue
from api.schemas import DISCLAIMER
from api.settings import Settings, load_settings
from api.telemetry.metrics import Metrics
from api.telemetry.tracing import configure_telemetry, create_tracer_provider
from api.version import VERSION
from model.classifier import Classifier

_NUM_SPARE_THREADS = 1  # so that no core waits while a thread waits for Python's lock or hands its result over

logger = logging.getLogger(__name__)

_DESCRIPTION = f"""
Classifies a 2-D brain-MRI slice and shows why (Grad-CAM). Every error is `{PROBLEM_JSON}` (RFC 9457); below
`{PROTOCOL_PATH}` it has the form of the Open Inference Protocol.

**{DISCLAIMER}**
"""


def create_app(settings: Settings | None = None, metrics: Metrics | None = None) -> FastAPI:
    """Make the service; the checkpoint is loaded when its lifespan starts.

    Args:
        settings: By default those of the environment.
        metrics: By default new ones; given where several workers share them.

    Raises:
        SettingsError: If a setting of the environment is out of its bounds, the keys cannot be used, or a package
            that the settings need is not installed.
    """
    settings = settings or load_settings()
    tracer_provider = create_tracer_provider()
    app = FastAPI(
        title="Brain-tumour MRI",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_create_lifespan(settings, tracer_provider.shutdown if tracer_provider else None),
        telemetry=configure_telemetry(tracer_provider),
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": ".", "description": "beside this document"}],  # a reverse proxy may add a path of its own
        redirect_slashes=False,  # it would lead to http:// from behind TLS, and a scan be sent again in clear
    )
    app.state.keys = KeyRing(settings)
    app.state.metrics = metrics or Metrics()
    app.state.draining = False
    app.state.max_batch = settings.max_batch
    app.include_router(predict.router)
    app.include_router(inference_protocol.router)
    app.include_router(batch.router)
    app.include_router(status.router)
    if settings.docs:
        add_docs(app)
    add_page(app, settings)
    add_error_handlers(app)
    app.add_middleware(BodyLimit, settings=settings, max_bytes_of={batch.PATH: settings.max_batch_bytes})
    app.add_middleware(allow_origins, settings=settings)
    app.add_middleware(RequestContext, settings=settings)
    complete_document(app)
    return app


def _create_lifespan(settings: Settings, send_spans: Callable[[], None] | None) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        metrics: Metrics = app.state.metrics
        num_threads = settings.threads + _NUM_SPARE_THREADS
        queue = InferenceQueue(num_threads, settings.max_queue, settings.request_timeout_seconds)
        queue.add_depth_listener(metrics.observe_depth)
        try:
            classifier = await _load(settings, queue)
        except BaseException:
            queue.close()
            raise
        queue.add_depth_listener(classifier.expect)
        app.state.service = Service(classifier, queue, metrics, settings)
        metrics.start(classifier.identity, classifier.engine_name)
        if gaps := classifier.card.list_gaps():
            logger.warning("the weights are not complete", extra={"gaps": gaps})
        logger.info("ready", extra=_describe(classifier, settings))
        try:
            yield
        finally:
            app.state.service = None
            metrics.stop()
            queue.close()
            if send_spans is not None:
                await asyncio.to_thread(send_spans)

    return lifespan


async def _load(settings: Settings, queue: InferenceQueue) -> Classifier:
    """Load the weights in a thread of the queue: threads that the engine starts inherit its niceness."""
    weights = (settings.model_path, settings.threads, settings.max_image_pixels, settings.model_sha256)
    return (await queue.run(partial(Classifier.load, *weights))).result


def _describe(classifier: Classifier, settings: Settings) -> dict[str, Any]:
    identity = classifier.identity
    return {
        "model": f"{identity.name} {identity.version}",
        "sha256": identity.sha256,
        "engine": classifier.engine_name,
        "threads": settings.threads,
        "workers": settings.workers,
    }
