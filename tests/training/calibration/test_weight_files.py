from dataclasses import replace

import pytest

from model.classifier import Classifier
from tests.samples.phantoms import create_card, create_tiny_network, save_tiny_checkpoint
from training.calibration import weight_files
from training.calibration.weight_files import CalibrationScans, write_weights
from training.data.scans import find_scans
from training.data.splits import TestSplit

CLASSES = ("glioma", "notumor")
DRAFTS, FINISHED = ["tiny.draft.onnx", "tiny.draft.pth"], ["tiny.onnx", "tiny.pth"]


@pytest.fixture(scope="module")
def network():
    return create_tiny_network(num_classes=2)


@pytest.fixture(scope="module")
def scans(data_folder):
    training, testing = (find_scans(data_folder, split).scans for split in ("Training", "Testing"))
    return CalibrationScans(training[::2], training[1::2], training[1::2], [TestSplit("official_test", testing)])


@pytest.fixture
def no_tracing(untraced, monkeypatch):
    """Neither tracing nor shifted scans."""
    monkeypatch.setattr(weight_files, "fit_review", lambda _engine, card, *_scans: card.review)


def _write(network, scans, folder):
    card = create_card(network, classes=CLASSES, self_test_logits=(0.0, 0.0))
    return write_weights(network, card, scans, folder, "tiny")


def _list(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_files_are_loaded_measured_and_say_what_is_lacking(network, scans, tmp_path):
    written = _write(network, scans, tmp_path)
    assert _list(tmp_path) == FINISHED
    for path in (written.checkpoint, written.exported):
        classifier = Classifier.load(path)
        assert classifier.card == written.card
        assert classifier.identity.sha256 == written.sha256
    assert written.card.metrics["official_test"].images == 8
    assert written.card.conformal is None
    assert written.card.review is not None
    assert written.card.list_gaps() == [
        "calibrated probabilities: 12 images were left for it, it takes 30",
        "prediction sets: 12 images were left for it, it takes 19",
        "an outlier threshold that 99 of 100 familiar scans keep: 12 images were left for it, it takes 99",
    ]


@pytest.mark.usefixtures("no_tracing")
@pytest.mark.parametrize("phase", ["export_onnx", "classify_splits", "fit_review", "measure", "update_card"])
def test_nothing_has_a_finished_name_before_all_is_done(network, scans, tmp_path, monkeypatch, phase):
    """What lies there in a phase is what a kill in that phase leaves; an interrupt leaves nothing."""
    seen = []

    def stop(*_arguments):
        seen.extend(_list(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(weight_files, phase, stop)
    with pytest.raises(KeyboardInterrupt):
        _write(network, scans, tmp_path)
    assert seen
    assert set(seen) <= set(DRAFTS)
    assert _list(tmp_path) == []


@pytest.mark.usefixtures("no_tracing")
def test_earlier_weights_stay_until_the_new_ones_are_done(network, scans, tmp_path, monkeypatch):
    earlier = save_tiny_checkpoint(tmp_path / "tiny.pth").read_bytes()
    broken = replace(scans, tests=[TestSplit("nothing", scans.tests[0].scans[:0])])
    with pytest.raises(ZeroDivisionError):
        _write(network, broken, tmp_path)
    assert (tmp_path / "tiny.pth").read_bytes() == earlier
    _write(network, scans, tmp_path)
    assert _list(tmp_path) == FINISHED
    assert (tmp_path / "tiny.pth").read_bytes() != earlier


@pytest.mark.usefixtures("no_tracing")
def test_without_unseen_scans_there_are_default_thresholds_and_that_is_said(network, scans, tmp_path):
    nothing = CalibrationScans(scans.familiar, (), (), ())
    card = _write(network, nothing, tmp_path).card
    assert (card.outlier_detector, card.conformal, card.temperature) == (None, None, 1.0)
    assert card.review.healthy_class == "notumor"
    assert {part: shortfall.found for part, shortfall in card.shortfalls.items()} == dict.fromkeys(
        ("temperature", "conformal", "outlier_detector", "outlier_percentile", "review"), 0
    )
    assert card.list_gaps()[-1].startswith("metrics")
