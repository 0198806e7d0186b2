import numpy as np
import torch

from model.checkpoints.checkpoint import load_checkpoint
from model.engines.torch_engine import TorchEngine
from tests.samples.phantoms import TINY_SIZE

INPUTS = np.random.default_rng(0).normal(size=(2, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)


def test_prediction_and_explanation_agree_on_logits_and_features(tiny_pair):
    engine = TorchEngine(tiny_pair[0])
    explained = engine.explain(INPUTS, np.array([-1, 0]))
    outputs = engine.predict(INPUTS)
    np.testing.assert_allclose(outputs.logits, explained.logits, atol=1e-6)
    np.testing.assert_allclose(outputs.features, explained.features, atol=1e-6)


def test_the_classifier_turns_the_features_into_the_logits(tiny_pair):
    outputs = TorchEngine(tiny_pair[0]).predict(INPUTS)
    weights = load_checkpoint(tiny_pair[0]).network.state_dict()
    logits = outputs.features @ weights["classifier.weight"].numpy().T + weights["classifier.bias"].numpy()
    np.testing.assert_allclose(outputs.logits, logits, atol=1e-5)


def test_the_number_of_threads_is_set_only_where_it_is_given(tiny_pair):
    before = torch.get_num_threads()
    TorchEngine(tiny_pair[0])
    assert torch.get_num_threads() == before
    TorchEngine(tiny_pair[0], num_threads=before)
    assert torch.get_num_threads() == before
