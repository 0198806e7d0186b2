import numpy as np
import pytest
from PIL import Image

from model.drawing.caption import Caption
from model.drawing.heatmap import quantize_heatmap
from model.drawing.overlay import View, blend, render, turbo_colors
from tests.model.drawing.reference import draw_slowly
from tests.samples.phantoms import draw_scan

SCAN = draw_scan(200, (0.4, 0.5))
CAPTION = Caption("glioma", 0.97, "glioma", 0.97)
FLAT = np.zeros((7, 7), np.float32)
HOT = np.zeros((7, 7), np.float32)
HOT[2, 5] = 1


@pytest.mark.parametrize(("view", "width"), [(View.OVERLAY, 150), (View.HEATMAP, 150), (View.SIDE_BY_SIDE, 300)])
def test_the_picture_has_the_size_of_the_scan(view, width):
    scan = SCAN[:120, :150]
    assert render(scan, HOT, CAPTION, 0.5, view).shape == (120, width, 3)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(48, 64), (224, 224), (512, 512), (700, 1000), (65, 33)])
def test_the_picture_is_the_slow_one_pixel_by_pixel(shape, alpha, view):
    generator = np.random.default_rng(0)
    grey = np.repeat(generator.integers(0, 256, (*shape, 1), np.uint8), 3, axis=2)
    colored = generator.integers(0, 256, (*shape, 3), np.uint8)
    for image, heatmap in ((grey, generator.random((7, 7), np.float32)), (colored, HOT), (grey, FLAT)):
        caption = Caption("glioma", 0.97, "pituitary", 0.01)
        expected = draw_slowly(image, heatmap, caption, alpha, view)
        assert np.array_equal(render(image, heatmap, caption, alpha, view), expected)


def test_a_flat_map_leaves_the_scan_as_it_is():
    assert np.array_equal(blend(SCAN, quantize_heatmap(FLAT, 200, 200), 1.0), SCAN)


def test_a_flat_map_over_black_is_black():
    picture = render(SCAN, FLAT, Caption("x", 1, "x", 1), 0.5, View.HEATMAP)
    assert not picture[60:140].any()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_evidence_laid_over_the_scan_is_the_overlay(alpha):
    heatmap = np.random.default_rng(0).random((7, 7), np.float32) ** 2
    shown, layer = (Image.fromarray(render(SCAN, heatmap, CAPTION, 0.5, view)) for view in (View.SCAN, View.EVIDENCE))
    layer.putalpha(layer.getchannel("A").point(lambda level: round(level * alpha)))
    laid_over = Image.alpha_composite(shown.convert("RGBA"), layer).convert("RGB")
    expected = blend(SCAN, quantize_heatmap(heatmap, 200, 200), alpha).astype(int)
    assert np.abs(np.asarray(laid_over) - expected).max() <= 3


def test_the_evidence_is_transparent_where_there_is_none():
    assert render(SCAN, HOT, CAPTION, 0.5, View.EVIDENCE)[..., 3].max() == 255
    assert not render(SCAN, FLAT, CAPTION, 0.5, View.EVIDENCE)[..., 3].any()


def test_the_scan_alone_is_its_pixels():
    assert np.array_equal(render(SCAN, HOT, CAPTION, 0.5, View.SCAN), SCAN)


def test_without_opacity_the_scan_stays_as_it_is():
    assert np.array_equal(blend(SCAN, quantize_heatmap(HOT, 200, 200), 0.0), SCAN)


def test_full_evidence_at_full_opacity_is_the_last_color():
    picture = blend(SCAN, np.full((200, 200), 255, np.uint8), 1.0)
    assert np.array_equal(np.unique(picture.reshape(-1, 3), axis=0), turbo_colors()[-1:])


def test_blending_equals_the_formula_in_floating_point():
    levels = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    opacity = levels[:, :, None] / 255 * 0.6
    expected = SCAN * (1 - opacity) + turbo_colors()[levels] * opacity
    assert np.abs(blend(SCAN, levels, 0.6) - expected).max() < 2.5


def test_the_hottest_point_lies_where_the_map_has_it():
    picture = render(np.zeros((140, 280, 3), np.uint8), HOT, CAPTION, 1.0, View.HEATMAP)
    rows, columns = np.nonzero((picture == turbo_colors()[-1]).all(axis=2))
    assert abs(rows.mean() - 2.5 * 20) <= 1
    assert abs(columns.mean() - 5.5 * 40) <= 1


def test_colors_are_turbo():
    import cv2

    theirs = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
    assert np.abs(turbo_colors().astype(int) - theirs).max() <= 6


def test_rendering_does_not_change_the_scan():
    before = SCAN.copy()
    render(SCAN, HOT, CAPTION, 0.7, View.SIDE_BY_SIDE)
    assert np.array_equal(SCAN, before)
