import numpy as np
import pytest

from training.data.boxes import Box
from training.data.scans import Scan
from training.localization.box_findings import IMAGE_CENTER, MEAN_LOCATION, Finding, score_baselines, score_map
from training.localization.boxed_scans import BoxedScan


def boxed(tmp_path, label, *box):
    return BoxedScan(Scan(tmp_path / "scan.png", label), Box(*box), None)


def test_a_planted_bright_spot_is_found():
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[5, 1] = 1
    around = Box(0.5 / 7, 4.5 / 7, 2.5 / 7, 6.5 / 7)
    assert score_map(heatmap, around, 224).hit
    assert score_map(heatmap, around, 224).energy > 0.8
    elsewhere = score_map(heatmap, Box(0.5, 0.1, 0.9, 0.5), 224)
    assert not elsewhere.hit
    assert elsewhere.energy == pytest.approx(0, abs=1e-6)


def test_the_peak_is_that_of_the_enlarged_map():
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[3, 2:4] = 1  # two cells: midway between them, where neither has its centre
    assert score_map(heatmap, Box(2.8 / 7, 3 / 7, 3.2 / 7, 4 / 7), 224).hit


def test_a_map_without_evidence_finds_nothing():
    assert score_map(np.zeros((7, 7), np.float32), Box(0, 0, 1, 1), 64) == Finding(False, 0.0)


def test_everything_is_inside_a_box_around_everything():
    found = score_map(np.random.default_rng(0).random((7, 7), np.float32), Box(0, 0, 1, 1), 64)
    assert found.hit
    assert found.energy == pytest.approx(1)


def test_the_energy_of_an_even_map_is_the_area_of_the_box():
    assert score_map(np.ones((7, 7), np.float32), Box(0.1, 0.2, 0.5, 0.9), 100).energy == pytest.approx(0.28)


def test_the_image_centre_hits_boxes_in_the_middle(tmp_path):
    measured = [boxed(tmp_path, 0, 0.4, 0.4, 0.6, 0.6), boxed(tmp_path, 0, 0.1, 0.1, 0.3, 0.6)]
    found = score_baselines(measured, measured)[IMAGE_CENTER, None]
    assert [finding.hit for finding in found] == [True, False]
    assert [finding.energy for finding in found] == pytest.approx([0.04, 0.1])


def test_the_mean_location_is_the_one_of_the_class_and_learnt_from_known_scans_only(tmp_path):
    known = [boxed(tmp_path, 0, 0.0, 0.0, 0.2, 0.2), boxed(tmp_path, 0, 0.2, 0.2, 0.4, 0.4)]
    known += [boxed(tmp_path, 1, 0.7, 0.7, 0.9, 0.9)]
    measured = [
        boxed(tmp_path, label, *corners)
        for label in (0, 1)
        for corners in ((0.1,) * 2 + (0.3,) * 2, (0.75,) * 2 + (0.85,) * 2)
    ]
    found = score_baselines(measured, known)[MEAN_LOCATION, None]
    assert [finding.hit for finding in found] == [True, False, False, True]
    assert found[3].energy == pytest.approx(0.25, abs=0.02)
    assert found[1].energy == 0
