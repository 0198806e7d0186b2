import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.testclient import TestClient

from api.exceptions import SettingsError
from api.main import create_app
from api.telemetry.tracing import create_tracer_provider

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> dict[str, Span]:
        return {
            span.name: span
            for request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


class _Receiver(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        yield collector
        collector.shutdown()
        thread.join()


def read(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def test_a_prediction_is_a_span_in_the_clients_trace(collector, settings, scan):
    with TestClient(create_app(settings)) as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert client.post("/predict", files={"file": ("Jane Doe.png", scan)}, headers=headers).status_code == 200
    span = collector.spans["POST /predict"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    attributes = read(span)
    assert attributes["http.response.status_code"] == 200
    assert float(str(attributes["brain_mri.inference_ms"])) > 0
    resources = {
        item.key: item.value.string_value
        for request in collector.received
        for item in request.resource_spans[0].resource.attributes
    }
    assert resources["service.name"] == "brain-tumor-mri"


def test_no_span_tells_what_a_client_sent(collector, settings, scan):
    app = create_app(settings)

    with TestClient(app, raise_server_exceptions=False) as client:
        client.post("/predict?name=Jane", files={"file": ("Jane.png", scan)})
        client.post("/predict/visualize?target=Jane", files={"file": ("Jane.png", b"Jane")})
        client.get("/Jane")
        client.get("/livez?name=Jane")
    told = "".join(str(request) for request in collector.received)
    assert "POST /predict" in told
    assert "Jane" not in told
    assert "livez" not in told


def test_without_a_collector_nothing_is_traced(settings, scan):
    assert create_tracer_provider() is None
    with TestClient(create_app(settings)) as client:
        assert client.post("/predict", content=scan).status_code == 200


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_tracing_can_be_switched_off(collector, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert create_tracer_provider() is None


def test_missing_packages_are_named(collector, monkeypatch):
    monkeypatch.setitem(sys.modules, "api.telemetry.span_export", None)
    with pytest.raises(SettingsError, match="requirements/tracing"):
        create_tracer_provider()


def test_a_service_that_traces_nothing_loads_no_sdk():
    script = (
        "import sys, api.server.server; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == []
