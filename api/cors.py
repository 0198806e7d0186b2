"""Cross-origin requests: what pages of other origins may send, and what they may read of a response."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from api.schemas import HEADER_LENGTH
from api.settings import Settings

_EXPOSED = ("X-Request-ID", "X-Prediction", "X-Confidence", "Retry-After", "WWW-Authenticate", HEADER_LENGTH)


def allow_origins(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Let pages of the settings' origins, where there are any, send requests to `app` and read its responses."""
    if not settings.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origins.split(","),
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "X-API-Key", "X-Request-ID", "traceparent", HEADER_LENGTH],
        expose_headers=_EXPOSED,
    )


def allow_any_origin(settings: Settings) -> dict[str, str]:
    """Make the headers of a refusal that comes before its request, whose origin is unknown and which tells nothing."""
    if not settings.cors_origins:
        return {}
    return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": ", ".join(_EXPOSED)}
