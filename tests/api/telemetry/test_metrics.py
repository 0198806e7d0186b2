import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api.main import create_app

DASHBOARD = Path(__file__).parents[3] / "examples" / "grafana" / "dashboard.json"


def read(client):
    """All samples as {(name, labels): value}."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(samples, metric, /, **labels):
    return samples[metric, tuple(sorted(labels.items()))]


def test_requests_are_counted_by_route_and_status(client, scan):
    for _ in range(3):
        client.post("/predict", content=scan)
    client.post("/predict", content=b"x")
    client.get("/predict")
    samples = read(client)
    assert value(samples, "http_requests_total", method="POST", path="/predict", status="200") == 3
    assert value(samples, "http_requests_total", method="POST", path="/predict", status="415") == 1
    assert value(samples, "http_request_duration_seconds_count", method="POST", path="/predict") == 4
    assert value(samples, "brain_mri_rejections_total", code="unsupported_format") == 1
    assert value(samples, "brain_mri_rejections_total", code="method_not_allowed") == 1


def test_predictions_are_counted_with_what_was_said_of_them(calibrated_client, scan):
    answer = calibrated_client.post("/predict", content=scan).json()
    calibrated_client.post("/predict/visualize", content=scan)
    samples = read(calibrated_client)
    labels = {"prediction": answer["prediction"], "review": answer["review"]["level"]}
    assert value(samples, "brain_mri_predictions_total", **labels) == 2
    assert value(samples, "brain_mri_confidence_sum") == pytest.approx(2 * answer["confidence"], rel=1e-3)
    ood = answer["ood"]["score"] / answer["ood"]["threshold"]
    assert value(samples, "brain_mri_ood_score_sum") == pytest.approx(2 * ood, rel=1e-3)
    for name in ("decode", "queue", "inference"):
        assert value(samples, f"brain_mri_{name}_seconds_count") == 2


def test_the_images_of_a_batch_are_counted(client, scan):
    for number in (1, 3):
        client.post("/predict/batch", files=[("files", ("scan.png", scan))] * number)
    samples = read(client)
    assert value(samples, "brain_mri_batch_size_count") == 2
    assert value(samples, "brain_mri_batch_size_sum") == 4


def test_what_answers_is_named(client):
    samples = read(client)
    card = client.get("/model").json()
    labels = {name: card[name] for name in ("name", "version", "sha256", "engine")}
    assert value(samples, "brain_mri_model_info", **labels) == 1
    assert value(samples, "brain_mri_ready") == 1
    assert value(samples, "brain_mri_queue_depth") == 0


def test_before_and_after_the_life_of_the_model_it_is_not_ready(app):
    client = TestClient(app)
    assert value(read(client), "brain_mri_ready") == 0
    with client:
        assert value(read(client), "brain_mri_ready") == 1
    assert value(read(TestClient(app)), "brain_mri_ready") == 0


def test_no_client_can_make_new_series_or_leave_its_data(client, scan):
    client.post("/predict", files={"file": ("Jane Doe.png", scan)})
    sizes = []
    for index in range(3):
        client.get(f"/secret-{index}")
        client.request(f"VERB{index}", "/predict")
        client.post(f"/predict/visualize?target=class-{index}", content=scan)
        sizes.append(len(read(client)))
    assert sizes[1] == sizes[2]
    assert not re.search(r"secret|VERB|class-|Jane", client.get("/metrics").text)


def test_two_services_count_for_themselves(client, settings, scan):
    client.post("/predict", content=scan)
    with TestClient(create_app(settings)) as other:
        assert not any(name == "brain_mri_predictions_total" for name, _ in read(other))


def test_the_dashboard_asks_for_metrics_and_labels_that_exist(calibrated_client, scan):
    calibrated_client.post("/predict", content=scan)
    calibrated_client.post("/predict", content=b"x")
    page = calibrated_client.get("/metrics").text
    names = set(re.findall(r"^(\w+)(?:\{| )", page, re.MULTILINE))
    labels = set(re.findall(r'[{,](\w+)="', page)) | {"instance"}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) > 12
    for expression in expressions:
        asked = set(re.findall(r"\b((?:http|brain_mri)_\w+)", expression))
        assert asked, expression
        assert asked <= names, expression
        for used in re.findall(r"by \(([\w, ]+)\)", expression) + re.findall(r"[{,](\w+)=", expression):
            assert set(used.replace(" ", "").split(",")) <= labels, expression
        assert expression.count("(") == expression.count(")")
