import pytest
from starlette.testclient import TestClient

from model.checkpoints.file_hash import hash_file
from tests.samples.phantoms import CLASSES, LAYERS


@pytest.mark.parametrize("path", ["/readyz", "/health"])
def test_ready_means_that_the_model_is_loaded(app, path):
    client = TestClient(app)
    response = client.get(path)
    assert response.status_code == 503
    assert response.json()["code"] == "not_ready"
    assert response.headers["retry-after"]
    with client:
        assert client.get(path).json() == {"status": "ready"}
    assert client.get(path).status_code == 503


def test_alive_even_without_a_model(app):
    assert TestClient(app).get("/livez").json() == {"status": "alive"}


def test_without_a_model_there_is_no_prediction(app, scan):
    assert TestClient(app).post("/predict", content=scan).status_code == 503


def test_the_card_is_served(client, tiny_pair):
    card = client.get("/model").json()
    assert card["classes"] == list(CLASSES)
    assert card["sha256"] == hash_file(tiny_pair[0])
    assert card["engine"] == "onnxruntime"
    assert card["gradcam_layer"] == LAYERS[0]
    assert card["preprocessing"]["input_size"] == 64
    assert card["metrics"] == {}
    assert "Research" in card["intended_use"]


def test_the_start_and_the_card_say_what_the_weights_lack(app, caplog):
    with TestClient(app) as client:
        gaps = client.get("/model").json()["gaps"]
    assert [gap.split(":")[0] for gap in gaps] == [
        *("prediction sets", "a check for outliers", "thresholds for review", "metrics")
    ]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.gaps == gaps


def test_the_card_tells_of_the_calibration_without_its_arrays(calibrated_client, client):
    response = calibrated_client.get("/model")
    card = response.json()
    assert card["conformal"]["level"] == 0.95
    assert set(card["outlier_detector"]) == {"method", "threshold", "percentile"}
    assert card["review"]["required_confidence"] == 0.80
    assert len(response.content) < 10_000
    uncalibrated = client.get("/model").json()
    assert [uncalibrated[name] for name in ("conformal", "outlier_detector", "review")] == [None, None, None]
