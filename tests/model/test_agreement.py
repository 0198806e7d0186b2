import json

import pytest

from model.agreement import measure_agreement
from model.classifier import Classifier
from model.command_line import main
from tests.phantoms import draw_scan, encode


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(encode(draw_scan(96, (0.4, 0.6), seed)))
    return tmp_path


def test_a_classifier_agrees_with_itself(calibrated_pair, folder):
    classifier = Classifier.load(calibrated_pair[1])
    found = measure_agreement(classifier, classifier, sorted(folder.iterdir()))
    assert (found.num_images, found.same_class, found.same_review) == (3, 1.0, 1.0)
    assert found.max_probability_difference == found.max_heatmap_difference == 0


def test_other_weights_are_seen_to_differ(calibrated_pair, tiny_pair, folder):
    first, second = (Classifier.load(pair[1]) for pair in (calibrated_pair, tiny_pair))
    found = measure_agreement(first, second, sorted(folder.iterdir()))
    assert found.same_review == 0
    assert found.max_probability_difference >= found.median_probability_difference > 0


def test_nothing_agrees_with_nothing(tiny_pair):
    classifier = Classifier.load(tiny_pair[1])
    with pytest.raises(ValueError, match="at least one"):
        measure_agreement(classifier, classifier, [])


def test_verify_records_what_reduced_precision_changes(calibrated_pair, folder, tmp_path, capsys):
    record = tmp_path / "record.json"
    options = ["--engine", "openvino", "--precision", "bf16", "--images", str(folder), "--record", str(record)]
    assert main(["verify", str(calibrated_pair[1]), *options]) == 0
    facts = json.loads(record.read_text(encoding="utf-8"))
    assert (facts["engine"], facts["precision"], facts["num_images"]) == ("openvino", "bf16", 3)
    assert 0 <= facts["same_class"] <= 1
    assert 0 <= facts["max_probability_difference"] < 0.2
    assert '"same_class"' in capsys.readouterr().out
