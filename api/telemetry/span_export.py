"""Sends spans to a collector by OTLP over HTTP; needs the packages of requirements/tracing.txt."""

import os

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_SERVICE_NAME = "brain-tumor-mri"
_QUERY = "url.query"


class _WithoutQueries(BatchSpanProcessor):
    """Keeps a client's query from the collector."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if span.attributes and _QUERY in span.attributes:
            span.set_attribute(_QUERY, "REDACTED")
        super().on_start(span, parent_context)


def create_provider() -> TracerProvider:
    """Make the provider that sends spans to the collector of the environment."""
    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", _SERVICE_NAME)})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(_WithoutQueries(OTLPSpanExporter()))
    return provider
