"""The weights that are shipped: whole, consistent, and as good as their card says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from model.checkpoints.file_hash import hash_file
from model.classifier import Classifier
from model.decoding import decode_image
from model.engines.engine import PREDICTED
from model.engines.loading import load_engine
from model.engines.onnx_engine import OnnxEngine
from model.engines.torch_engine import TorchEngine
from model.export import compare_engines, export_onnx
from model.networks.gradcam import GradCam
from model.networks.network import create_network
from model.preprocessing import preprocess_image, self_test_image
from tests.model.networks.test_gradcam import reference_maps
from tests.samples.outliers import OUTLIERS
from tests.samples.phantoms import LAYERS, draw_scan, encode
from training.data.scans import find_scans
from training.data.splits import split_data
from training.evaluation.evaluation import measure_means
from training.metrics.classified import classify_splits
from training.metrics.metrics import measure
from training.metrics.reviews import review_means, review_scans

WEIGHTS = Path(__file__).parents[1] / "weights"
CHECKPOINT, EXPORTED = WEIGHTS / "efficientnet_b0.pth", WEIGHTS / "efficientnet_b0.onnx"
CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


@pytest.fixture(scope="module")
def inputs():
    preprocessing = load_checkpoint(CHECKPOINT).card.preprocessing
    scans = [draw_scan(240, (0.35, 0.45)), draw_scan(300, (0.6, 0.6), seed=1), draw_scan(224), self_test_image(256)]
    return np.concatenate([preprocess_image(scan, preprocessing) for scan in scans])


def test_both_files_load_pass_their_self_test_and_are_the_same_model():
    ours, theirs = Classifier.load(CHECKPOINT), Classifier.load(EXPORTED)
    assert ours.card == theirs.card
    assert ours.identity == theirs.identity
    assert ours.identity.sha256 == hash_file(CHECKPOINT)
    compare_engines(CHECKPOINT, EXPORTED)


def test_the_files_are_those_written_down():
    lines = (WEIGHTS / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    assert {line[66:]: line[:64] for line in lines} == {path.name: hash_file(path) for path in (CHECKPOINT, EXPORTED)}


def test_the_card_is_that_of_a_trained_efficientnet_b0():
    card = load_checkpoint(CHECKPOINT).card
    assert card.architecture == "efficientnet_b0"
    assert card.classes == CLASSES
    assert card.preprocessing.input_size == 224
    assert card.preprocessing.color == "grey"
    assert card.gradcam_layer in LAYERS
    assert card.metrics["grouped_test"].images == 1406
    assert card.training["split"] == "grouped"
    assert None not in (card.conformal, card.outlier_detector, card.review)
    assert card.training["recipe"]["seed"] == 0


def test_maps_of_both_files_equal_the_reference_librarys(inputs):
    _compare_with_reference(CHECKPOINT, EXPORTED, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_maps_of_every_layer_equal_the_reference_librarys(layer, inputs, tmp_path):
    checkpoint, path = load_checkpoint(CHECKPOINT), tmp_path / "weights.pth"
    card = checkpoint.card.model_copy(update={"gradcam_layer": layer})
    save_checkpoint(path, checkpoint.network.state_dict(), card)
    export_onnx(path, tmp_path / "weights.onnx")
    _compare_with_reference(path, tmp_path / "weights.onnx", inputs)


def _compare_with_reference(path, exported, inputs):
    checkpoint, engines = load_checkpoint(path), (TorchEngine(path), OnnxEngine(exported))
    for index in range(len(CLASSES)):
        targets = np.full(len(inputs), index, np.int64)
        pair = torch.from_numpy(inputs), torch.from_numpy(targets)
        reference = reference_maps(checkpoint.network, checkpoint.card.gradcam_layer, *pair)
        for engine in engines:
            maps = engine.explain(inputs, targets).heatmaps
            assert np.abs(maps - reference).max() < 1e-3, (engine.name, index)


def test_the_map_depends_on_the_weights(inputs):
    """The sanity check of Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, in small."""
    checkpoint = load_checkpoint(CHECKPOINT)
    torch.manual_seed(0)
    random = create_network(checkpoint.card.architecture, len(CLASSES)).eval()
    targets = torch.full((len(inputs),), PREDICTED)
    maps = [
        GradCam(network, checkpoint.card.gradcam_layer)(torch.from_numpy(inputs), targets)[1].flatten().numpy()
        for network in (checkpoint.network, random)
    ]
    assert abs(np.corrcoef(*maps)[0, 1]) < 0.9


@pytest.mark.parametrize("kind", OUTLIERS)
def test_pictures_of_other_things_are_outliers(kind):
    classifier = Classifier.load(EXPORTED)
    for seed in range(8):
        ood = classifier.predict(encode(OUTLIERS[kind](seed))).ood
        assert ood is not None
        assert ood.outlier, (kind, seed, ood.score)


@pytest.fixture(scope="module")
def grouped_test(real_data):
    """The grouped test part, classified by the exported weights."""
    table = real_data.parent / "groups.csv"
    if not table.is_file():
        pytest.skip("no table of groups beside the data set")
    (outputs,) = classify_splits(load_engine(EXPORTED), split_data(real_data, "grouped", table, seed=0).tests)
    return outputs


@pytest.mark.data
@pytest.mark.slow
def test_the_card_tells_the_truth_about_the_grouped_test(grouped_test):
    card = load_checkpoint(CHECKPOINT).card
    stated = card.metrics["grouped_test"]
    measured = measure(grouped_test.labels, grouped_test.probabilities, card.classes, grouped_test.groups)
    assert (stated.images, stated.groups) == (measured.images, measured.groups)
    assert stated.model_dump().keys() == measured.model_dump().keys()
    for name, interval in measured.__pydantic_extra__.items():
        assert interval.value == pytest.approx(stated.__pydantic_extra__[name].value, abs=2e-3), name


@pytest.mark.data
@pytest.mark.slow
def test_prediction_sets_cover_and_scans_are_no_outliers(grouped_test):
    card = load_checkpoint(CHECKPOINT).card
    reviews = review_scans(card, grouped_test)
    assert reviews is not None
    means = measure_means(review_means(card, grouped_test, reviews), grouped_test.groups).intervals
    coverage = means["coverage"]
    assert coverage.low <= 0.95 <= coverage.high  # of scans of 154 groups, one of which can move it by 3 %
    assert means["set_size"].value <= 1.2  # on other sequences the three types of tumours are in it together
    assert means["outlier_rate"].value <= 0.03


@pytest.mark.data
def test_both_engines_agree_on_real_scans(real_data):
    reference, exported = Classifier.load(CHECKPOINT), Classifier.load(EXPORTED)
    torch_engine, onnx_engine = TorchEngine(CHECKPOINT), OnnxEngine(EXPORTED)
    for scan in find_scans(real_data, "Testing", CLASSES).scans[::60]:
        data = scan.path.read_bytes()
        ours, theirs = reference.predict(data), exported.predict(data)
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
        inputs = preprocess_image(decode_image(data).image, reference.card.preprocessing)
        targets = np.array([PREDICTED])
        maps = [engine.explain(inputs, targets).heatmaps for engine in (torch_engine, onnx_engine)]
        assert np.abs(maps[0] - maps[1]).max() < 1e-3
