"""The OpenAPI document, and Swagger UI at `/docs` from files on this machine: a hospital's network has no CDN."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.batch import PATH as BATCH_PATH
from api.body import describe_form
from api.predict import TARGET
from api.protocol.routes import NAME, VERSION
from api.protocol.schemas import InferenceRequest
from api.schemas import Problem, ProtocolError

_ASSETS = "/docs/assets"
_REFERENCE = "#/components/schemas/{model}"

# Swagger UI starts by a script in the page itself and shows pictures as `data:` and `blob:`.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def swagger_ui() -> HTMLResponse:
    """Show the page."""
    # Relative addresses: behind a reverse proxy the service may live under a path of its own.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Brain-tumour MRI",
        swagger_js_url=f".{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f".{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f".{_ASSETS}/favicon.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "defaultModelsExpandDepth": 0},
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


def add_docs(app: FastAPI) -> None:
    """Serve the page and what it loads."""
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-assets")
    app.include_router(router)


def complete_document(app: FastAPI) -> None:
    """Add to the OpenAPI document what depends on this service: problems, bounds, the need for keys, classes."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_describe_models(Problem, ProtocolError, InferenceRequest))
        document["paths"][BATCH_PATH]["post"]["requestBody"] = describe_form(app.state.max_batch)
        operations = [operation for methods in document["paths"].values() for operation in methods.values()]
        if not app.state.keys.enabled:
            components.pop("securitySchemes", None)
            for operation in operations:
                operation.pop("security", None)
        if service := getattr(app.state, "service", None):
            card = service.classifier.card
            values = {TARGET: [*card.classes, None], NAME: [card.name], VERSION: [card.version]}
            for parameter in (parameter for operation in operations for parameter in operation.get("parameters", ())):
                if parameter["name"] in values:
                    parameter["schema"]["enum"] = values[parameter["name"]]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents for extending it


def _describe_models(*models: type[BaseModel]) -> dict[str, Any]:
    """Describe the models that FastAPI does not find by itself: errors, and bodies that it does not read."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    return dict(schema["$defs"])
