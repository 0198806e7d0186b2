import pytest
from starlette.testclient import TestClient

from model.classifier import Classifier
from tests.benchmark.lean import create_app
from tests.load.scans import draw_originals


def test_the_lean_service_computes_what_ours_does(tiny_pair):
    with TestClient(create_app(tiny_pair[1])) as client:
        assert client.get("/readyz").status_code == 200
        for scan in draw_originals(2):
            response = client.post("/predict", files={"file": scan}).json()
            expected = Classifier.load(tiny_pair[1]).predict(scan)
            assert response["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
            assert response["prediction"] == expected.prediction
            assert response["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
