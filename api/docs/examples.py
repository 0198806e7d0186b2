"""An example response for each path, made of the loaded weights' own card."""

from typing import Any

from fastapi.encoders import jsonable_encoder

from api.dependencies import Service
from api.errors import EXAMPLE_REQUEST_ID, KINDS, create_plain_problem
from api.exceptions import PROTOCOL_PATH
from api.protocol.routes import describe_model, describe_server
from api.protocol.schemas import InferenceResponse, ModelReady, ResponseOutput, ServerLive, ServerReady
from api.schemas import BatchItem, BatchResponse, PredictionResponse, ServedPrediction, ServedTiming, StatusResponse
from api.status import describe_card
from model.errors import TruncatedImageError
from model.prediction import InputReport
from model.reliability.input_kind import InputKind
from model.reliability.reliability import Level, OutlierScore, Review

_CONFIDENCE = 0.9638
_MODEL_PATH = f"{PROTOCOL_PATH}/models/{{name}}"


def write_examples(service: Service, version: str) -> dict[str, Any]:
    """Write the JSON of a response for each path; versions of a model answer as the model does."""
    prediction = _predict(service)
    card, identity = service.classifier.card, service.classifier.identity
    kind = KINDS[TruncatedImageError]
    problem = create_plain_problem(EXAMPLE_REQUEST_ID, "/predict/batch", kind, "Send the complete file.")
    items = [
        BatchItem(index=0, prediction=prediction, problem=None),
        BatchItem(index=1, prediction=None, problem=problem),
    ]
    output = ResponseOutput(
        name="probabilities",
        datatype="FP32",
        shape=[1, len(card.classes)],
        data=list(prediction.probabilities.values()),
    )
    examples = {
        "/predict": PredictionResponse(**vars(prediction), request_id=EXAMPLE_REQUEST_ID),
        "/predict/batch": BatchResponse(results=items, model=identity, request_id=EXAMPLE_REQUEST_ID),
        "/model": describe_card(service),
        "/livez": StatusResponse(status="alive"),
        "/readyz": StatusResponse(status="ready"),
        "/health": StatusResponse(status="ready"),
        PROTOCOL_PATH: describe_server(version),
        f"{PROTOCOL_PATH}/health/live": ServerLive(live=True),
        f"{PROTOCOL_PATH}/health/ready": ServerReady(live=True, ready=True),
        _MODEL_PATH: describe_model(service.classifier),
        f"{_MODEL_PATH}/ready": ModelReady(name=card.name, ready=True),
        f"{_MODEL_PATH}/infer": InferenceResponse(model_name=card.name, model_version=card.version, outputs=[output]),
    }
    return {path: jsonable_encoder(example) for path, example in examples.items()}


def _predict(service: Service) -> ServedPrediction:
    """Invent a confident prediction of the first class."""
    card = service.classifier.card
    first, *others = card.classes
    rest = {name: (1 - _CONFIDENCE) / len(others) for name in others}
    detector = card.outlier_detector
    kind = InputKind(contrast_t1=0.97, other_mr=0.02, not_head_mr=0.01) if card.kinds else None
    return ServedPrediction(
        prediction=first,
        confidence=_CONFIDENCE,
        probabilities={first: _CONFIDENCE, **rest},
        prediction_set=(first,) if card.conformal else None,
        review=Review(level=Level.NONE, reasons=()) if card.review else None,
        ood=OutlierScore(score=0.345, threshold=detector.threshold, outlier=False) if detector else None,
        input=InputReport(format="PNG", width=512, height=512, warnings=(), frame=None, num_frames=None, kind=kind),
        model=service.classifier.identity,
        timing_ms=ServedTiming(decode=1.1, queue=0.002, inference=7.2),
    )
