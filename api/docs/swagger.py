"""Swagger UI at `/docs`, from files on this machine: a hospital's network has no CDN."""

import json

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api.protocol.routes import TAG

_ASSETS = "/docs/assets"
_START = "/docs/start.js"
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Brain-tumour MRI</title>
<link rel="icon" href=".{_ASSETS}/favicon.png">
<link rel="stylesheet" href=".{_ASSETS}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src=".{_ASSETS}/swagger-ui-bundle.js"></script>
<script src=".{_START}"></script>
</body>
</html>
"""  # relative addresses: behind a reverse proxy the service may live under a path of its own
_SCRIPT = f"""
const ui = SwaggerUIBundle({{
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  onComplete: () => ui.getSystem().layoutActions.show(["operations-tag", {json.dumps(TAG)}], false),
}});
"""
# Swagger UI sets styles on elements and shows pictures as `data:` and `blob:`.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def show_docs() -> HTMLResponse:
    """Show the page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get(_START)
async def start_docs() -> Response:
    """Start Swagger UI, with the operations of the protocol folded."""
    return Response(_SCRIPT, media_type="text/javascript")


def add_docs(app: FastAPI) -> None:
    """Serve the page and what it loads."""
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-assets")
    app.include_router(router)
