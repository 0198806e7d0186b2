import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from model.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from model.classifier import Classifier
from model.drawing.overlay import View
from model.errors import CheckpointError, ImageTooLargeError, UnknownClassError
from model.preprocessing import resize_image
from model.reliability.probabilities import softmax
from model.reliability.reliability import Level, Reason
from tests.samples.phantoms import CLASSES, draw_scan, encode, save_tiny_checkpoint

SCAN = encode(draw_scan(100, (0.4, 0.5)))
NOISE = encode(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))


@pytest.fixture(params=[0, 1], ids=["torch", "onnxruntime"])
def classifier(request, tiny_pair):
    return Classifier.load(tiny_pair[request.param])


def test_a_prediction_is_consistent_with_itself(classifier):
    prediction = classifier.predict(SCAN)
    assert list(prediction.probabilities) == list(CLASSES)
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-9)
    assert prediction.confidence == max(prediction.probabilities.values())
    assert prediction.probabilities[prediction.prediction] == prediction.confidence
    assert (prediction.input.format, prediction.input.width, prediction.input.height) == ("PNG", 100, 100)
    assert prediction.model == classifier.identity
    assert prediction.timing_ms.inference > 0


def test_both_engines_have_one_identity_and_one_opinion(tiny_pair):
    ours, theirs = (Classifier.load(path) for path in tiny_pair)
    assert ours.identity == theirs.identity
    a, b = ours.predict(SCAN), theirs.predict(SCAN)
    assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)


def test_a_visualization_carries_the_same_prediction(classifier):
    visualization = classifier.visualize(SCAN)
    assert visualization.prediction.probabilities == pytest.approx(classifier.predict(SCAN).probabilities, abs=1e-5)
    assert visualization.explained == visualization.prediction.prediction
    assert Image.open(io.BytesIO(visualization.picture)).size == (100, 100)


def test_colours_are_drawn_and_not_classified(classifier):
    image = draw_scan(100, (0.4, 0.5))
    image[:, :, 0] //= 2
    data = encode(image, "JPEG", quality=95)
    visualization = classifier.visualize(data, view=View.SCAN)
    assert visualization.prediction.probabilities == pytest.approx(classifier.predict(data).probabilities, abs=1e-5)
    drawn = np.asarray(Image.open(io.BytesIO(visualization.picture)).convert("RGB")).astype(int)
    assert (drawn[:, :, 1] - drawn[:, :, 0]).max() > 40


def test_another_class_can_be_explained(classifier):
    drawn = [classifier.visualize(SCAN, name, 1.0, View.HEATMAP) for name in CLASSES]
    assert [visualization.explained for visualization in drawn] == list(CLASSES)
    assert len({visualization.picture for visualization in drawn}) == len(CLASSES)


def test_without_calibration_nothing_is_said_about_reliability(classifier):
    prediction = classifier.predict(SCAN)
    assert (prediction.prediction_set, prediction.review, prediction.ood) == (None, None, None)


@pytest.mark.parametrize("data", [SCAN, NOISE], ids=["scan", "noise"])
def test_both_engines_say_the_same_about_reliability(calibrated_pair, data):
    ours, theirs = (Classifier.load(path).predict(data) for path in calibrated_pair)
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
    assert (ours.prediction_set, ours.review) == (theirs.prediction_set, theirs.review)
    assert ours.ood is not None
    assert theirs.ood is not None
    assert ours.ood.score == pytest.approx(theirs.ood.score, rel=1e-3, abs=1e-3)
    assert ours.ood.threshold == theirs.ood.threshold


@pytest.mark.parametrize("index", [0, 1])
def test_noise_is_an_outlier_and_most_drawings_like_the_others_are_not(calibrated_pair, index):
    classifier = Classifier.load(calibrated_pair[index])
    known = [classifier.predict(encode(draw_scan(96, (0.35, 0.5), seed=seed))) for seed in range(500, 520)]
    strange = classifier.predict(NOISE)
    assert sum(each.ood is not None and not each.ood.outlier for each in known) >= 16
    assert all(each.prediction in (each.prediction_set or ()) for each in known)
    assert strange.ood is not None
    assert strange.ood.outlier
    assert strange.review is not None
    assert strange.review.level is Level.REQUIRED
    assert Reason.OUT_OF_DISTRIBUTION in strange.review.reasons


def test_a_visualization_carries_the_same_reliability(calibrated_pair):
    classifier = Classifier.load(calibrated_pair[1])
    ours, theirs = classifier.predict(SCAN), classifier.visualize(SCAN).prediction
    assert (ours.prediction_set, ours.review) == (theirs.prediction_set, theirs.review)


def test_a_detector_of_another_network_is_refused(calibrated_pair, tmp_path):
    checkpoint = load_checkpoint(calibrated_pair[0])
    detector = checkpoint.card.outlier_detector
    assert detector is not None
    swapped = detector.model_copy(update={"features": detector.appearance})
    card = checkpoint.card.model_copy(update={"outlier_detector": swapped})
    save_checkpoint(tmp_path / "swapped.pth", checkpoint.network.state_dict(), card)
    with pytest.raises(CheckpointError, match=r"swapped\.pth: the outlier detector .* another network"):
        Classifier.load(tmp_path / "swapped.pth")


def test_heatmaps_are_made_where_they_are_asked_for(classifier):
    assert classifier.infer(SCAN).heatmaps is None
    assert classifier.infer(SCAN, explain=True).heatmaps.max() > 0


def test_an_unknown_class_is_refused(classifier):
    with pytest.raises(UnknownClassError, match="glioma, notumor, pituitary"):
        classifier.visualize(SCAN, "Glioma")


def test_the_pixel_limit_is_the_callers(tiny_pair):
    with pytest.raises(ImageTooLargeError):
        Classifier.load(tiny_pair[1], max_image_pixels=5000).predict(SCAN)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_cards_temperature_is_applied(tmp_path, tiny_pair, temperature):
    path = save_tiny_checkpoint(tmp_path / "warm.pth", temperature=temperature)
    plain = np.log(list(Classifier.load(tiny_pair[0]).predict(SCAN).probabilities.values())) / temperature
    expected = np.exp(plain) / np.exp(plain).sum()
    found = list(Classifier.load(path).predict(SCAN).probabilities.values())
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_that_do_not_do_what_the_card_says_fail_the_self_test(tmp_path):
    path = save_tiny_checkpoint(tmp_path / "other.pth", self_test_logits=(5.0, -5.0, 0.0))
    with pytest.raises(CheckpointError, match=r"other\.pth: self-test failed"):
        Classifier.load(path)


def test_damaged_weights_in_an_onnx_file_fail_the_self_test(tiny_pair, tmp_path):
    model = onnx.load(tiny_pair[1])
    tensor = max(model.graph.initializer, key=lambda initializer: len(initializer.raw_data))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 3, tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(CheckpointError, match="self-test failed"):
        Classifier.load(tmp_path / "damaged.onnx")


def test_softmax_equals_torchs_and_survives_large_logits():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]], np.float32)
    expected = torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-12)


@pytest.mark.parametrize("index", [0, 1])
def test_loading_leaves_the_threads_of_the_process_alone(tiny_pair, index):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        Classifier.load(tiny_pair[index])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_large_images_are_decoded_one_at_a_time_and_small_ones_beside_them(tiny_pair, monkeypatch):
    classifier, running, most = Classifier.load(tiny_pair[1]), [], []

    def watch(image, preprocessing):
        running.append(len(image))
        most.append(sum(height > 1000 for height in running))
        time.sleep(0.05)
        running.remove(len(image))
        return resize_image(image, preprocessing)

    monkeypatch.setattr("model.classification.resize_image", watch)
    large, small = (encode(draw_scan(size, (0.4, 0.5))) for size in (2100, 64))
    with ThreadPoolExecutor(6) as executor:
        answers = list(executor.map(classifier.predict, [large, small, large, small, large, small]))
    assert max(most) == 1
    assert [answer.input.height for answer in answers] == [2100, 64] * 3
