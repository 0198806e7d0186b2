"""`/v2`: the Open Inference Protocol (KServe v2), so that its clients, such as Triton's, work unchanged.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Request, Response

from api.dependencies import ClientWatchDep, KeyCheck, Service, ServiceDep
from api.errors import protocol_responses
from api.exceptions import PROTOCOL_PATH, UnknownModelError
from api.protocol.message import (
    BINARY_TYPE,
    CAM,
    EXTENSIONS,
    LOGITS,
    PROBABILITIES,
    InferenceCall,
    describe_inputs,
    describe_outputs,
    read_call,
    write_response,
)
from api.protocol.schemas import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from api.queue import ClientWatch
from api.schemas import HEADER_LENGTH, RESPONSE_HEADERS, UNSTORED_HEADERS, describe_header
from model.classifier import Classifier
from model.errors import InputError
from model.images.decoded import FloatArray
from model.prediction import Inference

TAG = "Open Inference Protocol"
NAME, VERSION = "name", "version"  # the parameters whose values are those of the weights

_SERVER_NAME = "brain-tumor-mri"
_PLATFORMS = {"onnxruntime": "onnx_onnxv1", "torch": "pytorch_checkpoint"}  # the protocol's form: project_format

router = APIRouter(prefix=PROTOCOL_PATH, tags=[TAG])


async def check_name(service: ServiceDep, name: Annotated[str, Path(description="That of the model card.")]) -> None:
    """Refuse any model but ours.

    Raises:
        UnknownModelError: If another one is requested.
    """
    if name != service.classifier.card.name:
        raise UnknownModelError("There is no model of that name here; GET /model shows the one that is.")


async def check_version(
    service: ServiceDep, version: Annotated[str, Path(description="That of the model card.")]
) -> None:
    """Refuse any version but ours.

    Raises:
        UnknownModelError: If another one is requested.
    """
    if version != service.classifier.card.version:
        raise UnknownModelError("The model is not there in that version; its metadata name the one that is.")


async def read_body(request: Request) -> bytes:
    """Read the body.

    Raises:
        MalformedRequestError: If it is compressed.
        BodyTooLargeError: If it is larger than is accepted.
    """
    return await request.body()


NameCheck, VersionCheck = Depends(check_name), Depends(check_version)
BodyDep = Annotated[bytes, Depends(read_body)]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": RESPONSE_HEADERS},
    **protocol_responses(500),
}
_READY = {**_RESPONSES, **protocol_responses(503)}
_MODEL_READY = {**_READY, **protocol_responses(404)}
_MODEL = {**_MODEL_READY, **protocol_responses(401)}
_INFER: dict[int | str, dict[str, Any]] = {
    **_MODEL,
    **protocol_responses(400, 408, 413, 415, 422, 504),
    200: {
        "description": f"The outputs; where some are binary, their bytes follow the JSON, as `{HEADER_LENGTH}` says.",
        "headers": {
            **UNSTORED_HEADERS,
            HEADER_LENGTH: describe_header(
                "Bytes of the JSON, where others follow.", {"type": "string", "pattern": "^[0-9]+$"}, required=False
            ),
        },
        "content": {BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, or JSON and tensors behind it; then the header `{HEADER_LENGTH}` gives the JSON's "
        "length. One input, `image`, BYTES (N): encoded images (of DICOM files the middle frame), in JSON as base64. "
        "Outputs: `probabilities` and `logits` (N, K), classes in the card's order, and, where asked for, `cam` "
        "(N, h, w).",
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{InferenceRequest.__name__}"}},
            BINARY_TYPE: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("", responses=_RESPONSES)
@router.get("/", include_in_schema=False)  # the specification has it both ways
async def server_metadata(request: Request) -> ServerMetadata:
    """Name the server and its extensions of the protocol."""
    return describe_server(request.app.version)


@router.get("/health/live", responses=_RESPONSES)
async def server_live() -> ServerLive:
    """Check that the process is alive."""
    return ServerLive(live=True)


@router.get("/health/ready", responses=_READY)
async def server_ready(_service: ServiceDep) -> ServerReady:
    """Check that the model is loaded, warmed up and has passed its self-test."""
    return ServerReady(live=True, ready=True)


@router.get("/models/{name}/ready", responses=_MODEL_READY, dependencies=[NameCheck])
@router.get("/models/{name}/versions/{version}/ready", responses=_MODEL_READY, dependencies=[NameCheck, VersionCheck])
async def model_ready(service: ServiceDep) -> ModelReady:
    """Check that the model is loaded and warmed up."""
    return ModelReady(name=service.classifier.card.name, ready=True)


@router.get("/models/{name}", responses=_MODEL, dependencies=[KeyCheck, NameCheck])
@router.get("/models/{name}/versions/{version}", responses=_MODEL, dependencies=[KeyCheck, NameCheck, VersionCheck])
async def model_metadata(service: ServiceDep) -> ModelMetadata:
    """Describe the tensors that the model takes and returns."""
    return describe_model(service.classifier)


_infer_route = partial(router.post, responses=_INFER, response_model=InferenceResponse, openapi_extra=_BODY)


@_infer_route("/models/{name}/infer", dependencies=[KeyCheck, NameCheck])
@_infer_route("/models/{name}/versions/{version}/infer", dependencies=[KeyCheck, NameCheck, VersionCheck])
async def infer(request: Request, service: ServiceDep, body: BodyDep, client: ClientWatchDep) -> Response:
    """Classify brain-MRI slices, sent as encoded images."""
    card = service.classifier.card
    read = partial(read_call, body, request.headers.get(HEADER_LENGTH), service.settings.max_batch)
    call = (await service.queue.run(read, client)).result
    inferences = await _infer_all(service, call, client)
    return write_response(call, card, _stack(inferences))


def describe_server(version: str) -> ServerMetadata:
    """Describe the server in the protocol's form."""
    return ServerMetadata(name=_SERVER_NAME, version=version, extensions=list(EXTENSIONS))


def describe_model(classifier: Classifier) -> ModelMetadata:
    """Describe the model in the protocol's form."""
    return ModelMetadata(
        name=classifier.card.name,
        versions=[classifier.card.version],
        platform=_PLATFORMS[classifier.engine_name],
        inputs=describe_inputs(),
        outputs=describe_outputs(classifier.card),
    )


async def _infer_all(service: Service, call: InferenceCall, client: ClientWatch) -> list[Inference]:
    """Classify one image after the other, as if each had been sent alone: a large request displaces no others."""
    service.metrics.observe_batch(len(call.images))
    inferences = []
    for index, data in enumerate(call.images):
        run = partial(_infer_image, service.classifier, data, index, explain=CAM in call.outputs)
        queued = await service.queue.run(run, client)
        service.record(queued.result.prediction, queued.queue_ms)
        inferences.append(queued.result)
    return inferences


def _infer_image(classifier: Classifier, data: bytes, index: int, *, explain: bool) -> Inference:
    try:
        return classifier.infer(data, explain=explain)
    except InputError as error:
        raise type(error)(f"Item {index}: {error}") from error


def _stack(inferences: Sequence[Inference]) -> dict[str, FloatArray]:
    probabilities = [list(inference.prediction.probabilities.values()) for inference in inferences]
    tensors = {
        PROBABILITIES: np.array(probabilities, np.float32),
        LOGITS: np.concatenate([inference.logits for inference in inferences]),
    }
    heatmaps = [inference.heatmaps for inference in inferences if inference.heatmaps is not None]
    return {**tensors, CAM: np.concatenate(heatmaps)} if heatmaps else tensors
