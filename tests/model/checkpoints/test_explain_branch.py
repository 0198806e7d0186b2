from pathlib import Path

import numpy as np
import onnxruntime as ort

from tests.samples.phantoms import TINY_SIZE

INPUTS = np.random.default_rng(0).normal(size=(5, 3, TINY_SIZE, TINY_SIZE)).astype(np.float32)


def test_a_plain_prediction_does_not_run_the_maps_part(tiny_pair, tmp_path):
    def count_nodes(explain: bool) -> int:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / f"profile-{explain}")
        session = ort.InferenceSession(tiny_pair[1], options)
        feed = {"inputs": INPUTS[:1], "targets": np.array([0]), "explain": np.array(explain)}
        session.run(None, feed)
        profile = Path(session.end_profiling()).read_text(encoding="utf-8")
        return profile.count('"op_name" : "Conv')

    assert count_nodes(False) < count_nodes(True)


def test_without_explanation_the_maps_are_empty(tiny_pair):
    session = ort.InferenceSession(tiny_pair[1])
    feed = {"inputs": INPUTS, "targets": np.zeros(5, np.int64), "explain": np.array(False)}
    assert session.run(["heatmaps"], feed)[0].shape == (0, 0, 0)
