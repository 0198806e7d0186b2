import time

import numpy as np
import pytest

from model.classification import Classification
from model.classifier import Classifier
from model.decoding import decode_image
from model.engines.loading import load_engine
from model.errors import CheckpointError
from model.steps import complete
from tests.samples.phantoms import draw_scan, encode


def test_steps_of_several_images_made_in_turn_give_what_each_gives_alone(calibrated_pair):
    engine = load_engine(calibrated_pair[1])
    classification = Classification(engine)
    scans = [encode(draw_scan(96, seed=seed)) for seed in range(3)]
    prepared = [classification.prepare(decode_image(scan), time.perf_counter()) for scan in scans]
    pending = [classification.classify(image, engine.predict) for image in prepared]
    for _ in range(2):
        for steps in pending:
            next(steps)
    classifier = Classifier(engine)
    for scan, steps in zip(scans, pending, strict=True):
        together, alone = complete(steps)[0], classifier.predict(scan)
        assert together.probabilities == pytest.approx(alone.probabilities)
        assert (together.review, together.ood, together.input) == (alone.review, alone.ood, alone.input)


def test_a_prepared_image_is_what_the_network_takes(calibrated_pair):
    prepared = Classification(load_engine(calibrated_pair[1])).prepare(decode_image(encode(draw_scan(96))), 0.0)
    assert prepared.inputs.dtype == np.float32
    assert prepared.inputs.shape[:2] == (1, 3)
    assert prepared.report.kind is None


def test_what_was_fitted_to_another_network_is_refused(calibrated_pair):
    with pytest.raises(CheckpointError, match="another network"):
        Classification(load_engine(calibrated_pair[1])).check_fits(7)
