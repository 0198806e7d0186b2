import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model.checkpoints.checkpoint import Checkpoint, load_checkpoint
from model.errors import CheckpointError
from tests.samples.phantoms import LAYERS, create_card, draw_scan, encode, save_tiny_checkpoint
from training.errors import DataError
from training.localization.box_examples import choose_examples
from training.localization.box_findings import IMAGE_CENTER, MEAN_LOCATION, Finding, score_maps
from training.localization.boxed_scans import find_boxed_scans
from training.localization.class_maps import Method
from training.localization.localization import DEFAULT_LAYERS, LocalizationOptions, choose_layers, localize

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Scans with a bright spot, where it is, and whose they are."""
    root = tmp_path_factory.mktemp("boxed")
    generator = np.random.default_rng(0)
    boxes, groups = ["path,x0,y0,x1,y1"], ["path,group,split"]
    for label, name in enumerate(("glioma", "pituitary")):
        (root / "Training" / name).mkdir(parents=True)
        for index in range(9):
            x, y = generator.uniform(0.28, 0.38, 2)
            path = f"Training/{name}/{index}.png"
            (root / path).write_bytes(encode(draw_scan(80, (x, y), seed=index + 9 * label)))
            boxes.append(f"{path},{x - 0.1:.3f},{y - 0.1:.3f},{x + 0.1:.3f},{y + 0.1:.3f}")
            groups.append(f"{path},{name}{index},{PARTS[index % 3]}")
    (root / "boxes.csv").write_text("\n".join(boxes), encoding="utf-8")
    (root / "groups.csv").write_text("\n".join(groups), encoding="utf-8")
    checkpoint = save_tiny_checkpoint(root / "tiny.pth")
    return LocalizationOptions(root, root / "boxes.csv", checkpoint, root / "groups.csv")


@pytest.fixture(scope="module")
def result(options):
    return localize(options)


class _SpotNetwork(nn.Module):
    """Very bright pixels speak for every class, most for the first."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.features.weight, 1.0)
        self._threshold = 3.0

    def forward(self, inputs):
        evidence = torch.relu(self.features(inputs) - self._threshold).mean(dim=(1, 2, 3))
        return torch.stack([2 * evidence, 0 * evidence, evidence], dim=1)


def test_planted_bright_spots_are_found(options):
    network = _SpotNetwork().requires_grad_(False)
    checkpoint = Checkpoint(network, create_card(network, "features"), "0")
    measured = find_boxed_scans(options.data, options.boxes, options.groups, checkpoint.card.classes)
    correct, findings = score_maps(checkpoint, ["features"], measured)
    assert correct.tolist() == [boxed.scan.label == 0 for boxed in measured]
    for method in Method:
        assert all(finding.hit for finding in findings[method, "features"])
        assert np.mean([finding.energy for finding in findings[method, "features"]]) > 0.5


def test_every_layer_is_measured_by_every_method_beside_the_baselines(result):
    rows = [(row.method, row.layer) for row in result.rows]
    assert rows[:2] == [(IMAGE_CENTER, None), (MEAN_LOCATION, None)]
    layers = [layer for layer in DEFAULT_LAYERS if layer in {row.layer for row in result.rows}]
    assert set(rows[2:]) == {(method.value, layer) for method in Method for layer in layers}
    assert set(LAYERS) <= set(layers)


def test_the_selected_layer_has_the_best_pointing_game_of_grad_cam(result):
    scores = {row.layer: row.mean.pointing_game.value for row in result.rows if row.method == Method.GRAD_CAM}
    assert scores[result.selected_layer] == max(scores.values())


def test_the_best_the_middle_and_the_worst_maps_are_drawn_with_their_boxes(result):
    assert [example.place for example in result.examples] == ["best"] * 2 + ["median"] * 2 + ["worst"] * 2
    energies = [example.finding.energy for example in result.examples]
    assert energies == sorted(energies, reverse=True)
    for example in result.examples:
        picture = Image.open(io.BytesIO(base64.b64decode(example.picture.split(",")[1])))
        assert picture.size == (448, 224)


@pytest.mark.parametrize("num_findings", [1, 2, 3, 11, 30])
def test_no_map_is_shown_twice(num_findings):
    energies = np.random.default_rng(0).permutation(num_findings)
    chosen = choose_examples([Finding(True, float(energy)) for energy in energies])
    indices = [index for _, index in chosen]
    assert len(set(indices)) == len(indices) == min(num_findings, max(1, min(4, num_findings // 3)) * 3)
    assert energies[indices[0]] == num_findings - 1
    assert num_findings == 1 or energies[indices[-1]] == 0
    assert num_findings < 3 or ("median", int(np.argsort(energies)[(num_findings) // 2])) in chosen


def test_validation_is_measured_by_default_and_other_parts_on_request(options, result):
    assert (result.part, result.images) == ("validation", {"glioma": 3, "notumor": 0, "pituitary": 3})
    assert result.groups == 6
    few = replace(options, layers=("bn2",), num_scans=2)
    assert localize(replace(few, part="test")).images["glioma"] == 2
    everything = localize(replace(options, part="all", layers=("bn2",)))
    assert sum(everything.images.values()) == 18
    assert localize(replace(few, groups=None)).part == "all"


def test_the_baselines_know_where_the_spots_of_the_train_part_are(result):
    middle, usual = result.rows[:2]
    assert middle.mean.pointing_game.value == 0
    assert usual.mean.pointing_game.value > 0.5


def test_layers_the_network_lacks_are_left_out_by_default_and_refused_on_request(options):
    checkpoint = load_checkpoint(options.checkpoint)
    assert checkpoint.card.gradcam_layer in choose_layers(checkpoint, ())
    with pytest.raises(CheckpointError, match="nonsense"):
        choose_layers(checkpoint, ("bn2", "nonsense"))


def test_a_part_without_boxes_is_refused(options):
    with pytest.raises(DataError, match="no box to measure in the test part"):
        localize(replace(options, groups=None, part="test"))


def test_a_damaged_scan_is_named(options, tmp_path):
    (tmp_path / "glioma").mkdir()
    (tmp_path / "glioma" / "broken.png").write_bytes(b"nothing")
    (tmp_path / "boxes.csv").write_text("path,x0,y0,x1,y1\nglioma/broken.png,0,0,1,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"broken\.png"):
        localize(LocalizationOptions(tmp_path, tmp_path / "boxes.csv", options.checkpoint))
