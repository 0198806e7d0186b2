import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from model.checkpoints.checkpoint import load_checkpoint
from model.classifier import Classifier
from model.engines.torch_engine import TorchEngine
from tests.benchmark.pictures import draw_pictures
from tests.benchmark.usual import HookedGradCam, create_app
from tests.samples.phantoms import TINY_SIZE


def test_the_usual_service_says_what_ours_says(tiny_pair):
    (picture,) = draw_pictures("PNG", 224, 1)
    with TestClient(create_app(load_checkpoint(tiny_pair[0]))) as client:
        answer = client.post("/predict", files={"file": picture.data}).json()
        drawn = client.post("/predict/visualize", files={"file": picture.data})
    expected = Classifier.load(tiny_pair[1]).predict(picture.data)
    assert answer["prediction"] == expected.prediction
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert drawn.headers["x-prediction"] == expected.prediction
    assert drawn.content.startswith(b"\x89PNG")


def test_its_map_is_ours(exported_pair):
    checkpoint = load_checkpoint(exported_pair[0])
    cam = HookedGradCam(checkpoint.network, checkpoint.card.gradcam_layer)
    inputs = np.random.default_rng(0).normal(size=(1, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)
    _, heatmap = cam.explain(torch.from_numpy(inputs))
    ours = TorchEngine(exported_pair[0]).explain(inputs, np.array([-1])).heatmaps[0]
    assert np.corrcoef(heatmap.numpy().ravel(), ours.ravel())[0, 1] > 0.999
