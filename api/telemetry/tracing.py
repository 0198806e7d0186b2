"""OpenTelemetry traces, if the standard variables name a collector; its packages are optional.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
Spans hold the route of a request, its outcome and the times of its parts; never what a client sent.
"""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from api.exceptions import SettingsError
from api.schemas import ServedPrediction

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATHS = ("/predict", "/predict/visualize", "/predict/batch", "/model")


def create_tracer_provider() -> "TracerProvider | None":
    """Make the provider that sends spans to the collector of the environment; None if it names none.

    Raises:
        SettingsError: If one is named, and the packages of requirements/tracing.txt are not installed.
    """
    if not _is_wanted():
        return None
    try:
        from api.telemetry.span_export import create_provider
    except ModuleNotFoundError as error:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: tracing needs the packages of requirements/tracing.txt"
        ) from error
    return create_provider()


def configure_telemetry(provider: "TracerProvider | None") -> TelemetryConfig:
    """Configure FastAPI to trace predictions and the card, as spans alone.

    Metrics and logs are our own; FastAPI's would hold the texts of exceptions.
    """
    config = TelemetryConfig(
        tracing=provider is not None, operation_spans=False, metrics=False, logs=False, auto_configure=False
    )
    if provider is not None:
        config["tracer_provider"] = provider
        config["exclude"] = lambda scope: scope["path"] not in _PATHS  # others hold a client's own words
    return config


def trace_prediction(prediction: ServedPrediction) -> None:
    """Add the milliseconds of the prediction's parts to the span of the request."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes({f"brain_mri.{part}_ms": value for part, value in asdict(prediction.timing_ms).items()})


def current_trace_ids() -> dict[str, str]:
    """Find the ids of the span that is open, for the log; none where nothing is traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def _is_wanted() -> bool:
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    return not disabled and exporter != "none" and any(os.environ.get(name) for name in _ENDPOINTS)
