"""A page for people at `/demo`: drawn by Gradio, answered as `/predict` is.

    browser --GET /demo/...--------> PageGate: the page and its files, nothing else of Gradio
    browser --POST /demo/judge-----> key, body limit, queue, classifier: those of every request

A scan never reaches Gradio, whose own upload writes files to a disk: the page sends the bytes as they are to a route of
ours and gets its pictures in the answer. So of Gradio nothing is reachable but what draws the page.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http import HTTPStatus
from tempfile import mkdtemp
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from api.demo_answer import DemoAnswer
from api.demo_gate import DEMO_PATH, PageGate
from api.dependencies import ClientWatchDep, ImageDep, KeyCheck, ServiceDep
from api.predict import FrameQuery
from api.settings import Settings, SettingsError
from api.tracing import trace_prediction
from api.workers import MEMORY_FOLDER
from model.phantom import Lesion, draw_phantom, draw_test_chart
from model.png import encode_png

JUDGE_PATH = f"{DEMO_PATH}/judge"
_EXAMPLE_PIXELS, _ICON_PIXELS = 384, 64

router = APIRouter(include_in_schema=False)


@router.post(JUDGE_PATH, dependencies=[KeyCheck])
async def judge(
    service: ServiceDep,
    image: ImageDep,
    client: ClientWatchDep,
    response: Response,
    target: Annotated[str | None, Query(description="The class to explain; by default the predicted one.")] = None,
    frame: FrameQuery = None,
) -> DemoAnswer:
    """Classify a brain-MRI slice and draw what speaks for a class."""
    done = await service.queue.run(partial(service.classifier.show_layers, image, target, frame), client)
    prediction = done.result.prediction
    service.metrics.observe_prediction(prediction, done.queue_ms)
    trace_prediction(prediction, done.queue_ms)
    response.headers["Cache-Control"] = "no-store"
    return DemoAnswer.of(done.result, done.queue_ms)


@router.get(f"{DEMO_PATH}/examples/{{name}}.png")
async def example(request: Request, name: str) -> Response:
    """Show one of the pictures that the page offers to try."""
    png = request.app.state.demo_examples.get(name)
    if png is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(png, media_type="image/png")


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """Show the picture that a browser puts beside the page's title."""
    return Response(request.app.state.demo_icon, media_type="image/png")


def add_demo(app: FastAPI, settings: Settings) -> None:
    """Serve the page, the route that it asks, and its examples.

    Raises:
        SettingsError: If Gradio is not installed.
    """
    app.include_router(router)
    examples = draw_examples()
    app.state.demo_examples = examples
    app.state.demo_icon = encode_png(draw_phantom(_ICON_PIXELS))
    with _working_folder():
        try:
            from api.demo_page import mount_page
        except ModuleNotFoundError as error:
            raise SettingsError("BRAIN_MRI_DEMO: the page needs the packages of requirements-demo.txt") from error
        mount_page(app, DEMO_PATH, settings, tuple(examples))
    (mount,) = (route for route in app.routes if isinstance(route, Mount) and route.path == DEMO_PATH)
    mount.app = PageGate(mount.app)


def draw_examples() -> dict[str, bytes]:
    """Draw the page's examples, as PNG, by what they show."""
    images = {
        "mass": draw_phantom(_EXAMPLE_PIXELS, Lesion(x=0.72, y=0.62, radius=0.07)),
        "ring": draw_phantom(_EXAMPLE_PIXELS, Lesion(x=0.64, y=0.4, radius=0.085, hollow=True)),
        "no-mass": draw_phantom(_EXAMPLE_PIXELS, seed=2),
        "no-scan": draw_test_chart(_EXAMPLE_PIXELS),
    }
    return {name: encode_png(image) for name, image in images.items()}


@contextmanager
def _working_folder() -> Iterator[None]:
    """Give Gradio the folder that it makes while it starts and, as nothing is uploaded to it, never writes to."""
    folder = _choose_folder()
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _choose_folder() -> str:
    """Choose a folder in memory, once: Gradio remembers the first one."""
    in_memory = os.access(MEMORY_FOLDER, os.W_OK)  # where the root is read-only, nothing else is writable
    return mkdtemp(prefix="brain-mri-demo-", dir=MEMORY_FOLDER if in_memory else None)
