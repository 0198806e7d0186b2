"""`POST /predict` and `POST /predict/visualize`."""

from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from api.body import OPENAPI_BODY
from api.dependencies import ImageRequestDep
from api.errors import problem_responses
from api.pictures import AcceptDep, PictureFormat, choose_format, draw_picture
from api.schemas import UNSTORED_HEADERS, PredictionResponse, describe_header
from model.drawing.overlay import View

TARGET = "target"  # the query parameter whose values are the classes of the weights

FrameQuery = Annotated[
    int | None,
    Query(ge=1, description="Which frame of a DICOM file, from 1; by default the middle one. Others have one image."),
]

router = APIRouter(tags=["prediction"])

_PROBLEMS = problem_responses(400, 401, 408, 413, 415, 422, 500, 503, 504)
_VIEWS = """
- `overlay`: the evidence over the scan
- `heatmap`: the evidence over black
- `side-by-side`: the scan, and right of it the overlay
- `evidence`: the evidence alone, RGBA and transparent where there is none, to be laid over the scan
- `scan`: the pixels as they were read, for clients that show no DICOM or 16-bit images

The last two carry no caption, ignore `alpha` and have no DICOM form.
"""
_ANSWER = TypeAdapter(PredictionResponse)  # FastAPI would check what was checked when it was made
_UNSTORED = {"Cache-Control": "no-store"}
_JSON = {"description": "The prediction.", "headers": UNSTORED_HEADERS}
_PICTURE = {
    "description": "The picture, at the scan's own resolution: PNG unless `Accept` prefers `image/webp` or "
    "`image/jpeg`, which are smaller and of quality 90. WebP keeps every pixel of `evidence` and `scan`; JPEG cannot "
    "show `evidence`. `Accept: application/dicom` asks for it as a DICOM "
    "Secondary Capture in the study of the image, which has to be DICOM too, and `multipart/related` for that and a "
    "DICOM report, Comprehensive 3D SR.",
    "content": {str(form): {"schema": {"type": "string", "format": "binary"}} for form in PictureFormat},
    "headers": {
        **UNSTORED_HEADERS,
        "X-Prediction": describe_header("The most probable class, percent-encoded."),
        "X-Confidence": describe_header("Its probability.", {"type": "number", "minimum": 0, "maximum": 1}),
    },
}


@router.post(
    "/predict",
    responses={**_PROBLEMS, 200: _JSON},
    response_model=PredictionResponse,
    openapi_extra=OPENAPI_BODY,
)
async def predict(request: ImageRequestDep, frame: FrameQuery = None) -> Response:
    """Classify a brain-MRI slice."""
    service = request.service
    steps = service.classifier.predict_in_steps(request.image, frame)
    queued = await service.queue.run_steps(steps, request.client)
    prediction = service.record(queued.result, queued.queue_ms)
    answer = PredictionResponse(**vars(prediction), request_id=request.id)
    return Response(_ANSWER.dump_json(answer), media_type="application/json", headers=_UNSTORED)


@router.post(
    "/predict/visualize",
    responses={**_PROBLEMS, **problem_responses(406), 200: _PICTURE},
    response_class=Response,
    openapi_extra=OPENAPI_BODY,
)
async def visualize(
    request: ImageRequestDep,
    accept: AcceptDep,
    target: Annotated[str | None, Query(description="The class to explain; by default the predicted one.")] = None,
    alpha: Annotated[float, Query(ge=0, le=1, description="Opacity of the strongest evidence.")] = 0.5,
    view: Annotated[View, Query(description=_VIEWS)] = View.OVERLAY,
    frame: FrameQuery = None,
) -> Response:
    """Classify a brain-MRI slice and draw the evidence for a class (Grad-CAM) over it."""
    service = request.service
    form = choose_format(accept, view)
    draw = partial(draw_picture, service.classifier, request.image, form, target, alpha, view, frame)
    queued = await service.queue.run(draw, request.client)
    prediction = service.record(queued.result.prediction, queued.queue_ms)
    name = prediction.prediction
    headers = {
        "X-Prediction": quote(name, safe=" " if name == name.strip() else ""),  # spaces at the ends would be lost
        "X-Confidence": f"{prediction.confidence:.6f}",
        **_UNSTORED,
    }
    return Response(queued.result.body, media_type=queued.result.media_type, headers=headers)
