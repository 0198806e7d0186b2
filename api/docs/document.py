"""Completes the OpenAPI document with what only this service knows, and what a person reads first."""

import re
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import batch, predict
from api.body import describe_form
from api.docs.examples import write_examples
from api.keys import SECURITY_SCHEMES
from api.protocol import routes as inference_protocol
from api.protocol.schemas import InferenceRequest
from api.schemas import Problem, ProtocolError
from model.card import ModelCard

TAGS = [
    {"name": "prediction", "description": "Images to classes, and pictures of the evidence."},
    {"name": "status", "description": "The service and its model."},
    {"name": inference_protocol.TAG, "description": "The same predictions for clients of KServe and Triton."},
]
_JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_END_OF_SUMMARY = re.compile(r"[.:;,(]")

Operation = dict[str, Any]


def complete_document(app: FastAPI) -> None:
    """Let the document say what FastAPI does not find: problems, bounds, if keys are needed, classes, examples."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_describe_models(Problem, ProtocolError, InferenceRequest))
        document["paths"][batch.PATH]["post"]["requestBody"] = describe_form(app.state.max_batch)
        operations = {path: operation for path, methods in document["paths"].items() for operation in methods.values()}
        _shorten_summaries(operations.values())
        if app.state.keys.enabled:
            components["securitySchemes"] = SECURITY_SCHEMES
            for operation in operations.values():
                if "401" in operation["responses"]:
                    operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
        if service := getattr(app.state, "service", None):
            _name_values(operations.values(), service.classifier.card)
            _add_examples(operations, write_examples(service, app.version))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents for extending it


def _shorten_summaries(operations: Iterable[Operation]) -> None:
    """Head each operation with the first clause of its description instead of the name of its function."""
    for operation in operations:
        operation["summary"] = _END_OF_SUMMARY.split(operation["description"], maxsplit=1)[0].strip()


def _name_values(operations: Iterable[Operation], card: ModelCard) -> None:
    """Name the values that parameters may have with these weights."""
    values = {
        predict.TARGET: [*card.classes, None],
        inference_protocol.NAME: [card.name],
        inference_protocol.VERSION: [card.version],
    }
    for operation in operations:
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in values:
                parameter["schema"]["enum"] = values[parameter["name"]]


def _add_examples(operations: dict[str, Operation], examples: dict[str, Any]) -> None:
    for path, operation in operations.items():
        content = operation["responses"]["200"]["content"]
        if _JSON in content:
            content[_JSON]["example"] = examples[path.replace("/versions/{version}", "")]


def _describe_models(*models: type[BaseModel]) -> dict[str, Any]:
    """Describe what FastAPI does not find by itself: errors, and bodies that it does not read."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    return dict(schema["$defs"])
