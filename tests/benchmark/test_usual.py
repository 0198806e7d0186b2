import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from model.classifier import Classifier
from model.engines.torch_engine import TorchEngine
from tests.benchmark.usual import HookedGradCam, UsualModel, create_app
from tests.load.scans import draw_scans
from tests.samples.phantoms import TINY_SIZE


def test_the_usual_service_computes_what_ours_does(tiny_pair):
    (scan,) = draw_scans("PNG", 224, 1)
    with TestClient(create_app(tiny_pair[0])) as client:
        response = client.post("/predict", files={"file": scan}).json()
        drawn = client.post("/predict/visualize", files={"file": scan})
    expected = Classifier.load(tiny_pair[1]).predict(scan)
    assert response["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert response["prediction"] == drawn.headers["x-prediction"] == expected.prediction
    assert drawn.content.startswith(b"\x89PNG")


def test_its_map_is_ours(exported_pair):
    model = UsualModel(exported_pair[0])
    inputs = np.random.default_rng(0).normal(size=(1, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)
    _, heatmap = HookedGradCam(model.network, model.card.gradcam_layer).explain(torch.from_numpy(inputs))
    ours = TorchEngine(exported_pair[0]).explain(inputs, np.array([-1])).heatmaps[0]
    assert np.corrcoef(heatmap.numpy().ravel(), ours.ravel())[0, 1] > 0.999
