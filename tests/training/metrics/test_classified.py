import numpy as np

from model.engines.loading import load_engine
from tests.samples.phantoms import draw_scan, encode, judge_drawings
from training.data.scans import Scan
from training.data.splits import TestSplit
from training.metrics.classified import classify_splits


def test_a_split_has_the_outputs_of_the_engine_and_of_the_picture(tiny_pair, tmp_path):
    engine = load_engine(tiny_pair[1])
    scans = []
    for seed in range(35):  # more than a batch
        path = tmp_path / f"{seed}.png"
        path.write_bytes(encode(draw_scan(96, (None, (0.35, 0.5), (0.65, 0.5))[seed % 3], seed)))
        scans.append(Scan(path, (1, 0, 2)[seed % 3]))
    (found,) = classify_splits(engine, [TestSplit("drawings", tuple(scans))])
    expected = judge_drawings(load_engine(tiny_pair[0]), range(35))
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.appearances, expected.appearances)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-3, atol=1e-4)
