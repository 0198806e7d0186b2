import io

import numpy as np
import pytest
from PIL import Image

from model.drawing.heatmap import upsample_heatmap
from model.drawing.layers import MAX_EVIDENCE_PIXELS, MAX_SCAN_PIXELS, render_layers
from model.drawing.overlay import blend
from tests.samples.phantoms import draw_scan


def open_png(data):
    return Image.open(io.BytesIO(data), formats=("PNG",))


def draw_heatmap():
    return np.random.default_rng(0).random((7, 7), np.float32) ** 2


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_one_layer_over_the_other_is_the_overlay(alpha):
    scan, heatmap = draw_scan(120, (0.4, 0.5))[:100], draw_heatmap()
    layers = render_layers(scan, heatmap)
    shown, evidence = open_png(layers.scan).convert("RGBA"), np.asarray(open_png(layers.evidence)).copy()
    evidence[..., 3] = np.rint(evidence[..., 3] * alpha)  # the page's opacity
    shown.alpha_composite(Image.fromarray(evidence))
    expected = blend(scan, upsample_heatmap(heatmap, *scan.shape[:2]), alpha)
    difference = np.asarray(shown.convert("RGB")).astype(int) - expected
    assert np.abs(difference).max() <= 3


def test_the_scan_is_the_one_that_was_judged():
    scan = draw_scan(64)
    np.testing.assert_array_equal(np.asarray(open_png(render_layers(scan, draw_heatmap()).scan)), scan)


@pytest.mark.parametrize(("height", "width"), [(4000, 2000), (32, 3000), (600, 601)])
def test_layers_are_no_larger_than_a_page_shows_and_keep_the_shape(height, width):
    layers = render_layers(np.zeros((height, width, 3), np.uint8), draw_heatmap())
    for png, limit in ((layers.scan, MAX_SCAN_PIXELS), (layers.evidence, MAX_EVIDENCE_PIXELS)):
        size = open_png(png).size
        assert max(size) == min(limit, max(height, width))
        assert abs(size[0] * height - size[1] * width) <= max(height, width)


def test_where_there_is_no_evidence_the_scan_stays_as_it_is():
    evidence = np.asarray(open_png(render_layers(draw_scan(64), np.zeros((7, 7), np.float32)).evidence))
    assert evidence.shape == (64, 64, 4)
    assert not evidence[..., 3].any()
