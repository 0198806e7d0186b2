import io

import numpy as np
import pytest
from PIL import Image

from model.drawing.heatmap import upsample_heatmap
from model.drawing.overlay import Caption, View, blend, render, render_png, turbo_colors, write_caption
from tests.samples.phantoms import draw_scan

SCAN = draw_scan(200, (0.4, 0.5))
CAPTION = Caption("glioma", 0.97, "glioma", 0.97)
FLAT = np.zeros((7, 7), np.float32)
HOT = np.zeros((7, 7), np.float32)
HOT[2, 5] = 1


@pytest.mark.parametrize(("view", "width"), [(View.OVERLAY, 150), (View.HEATMAP, 150), (View.SIDE_BY_SIDE, 300)])
def test_the_picture_has_the_size_of_the_scan(view, width):
    scan = SCAN[:120, :150]
    png = render_png(scan, HOT, CAPTION, 0.5, view)
    assert Image.open(io.BytesIO(png)).size == (width, 120)


def test_a_flat_map_leaves_the_scan_as_it_is():
    assert np.array_equal(blend(SCAN, upsample_heatmap(FLAT, 200, 200), 1.0), SCAN)


def test_a_flat_map_over_black_is_black():
    picture = render(SCAN, FLAT, Caption("x", 1, "x", 1), 0.5, View.HEATMAP)
    assert not picture[60:140].any()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_evidence_laid_over_the_scan_is_the_overlay(alpha):
    heatmap = np.random.default_rng(0).random((7, 7), np.float32) ** 2
    shown, layer = (Image.fromarray(render(SCAN, heatmap, CAPTION, 0.5, view)) for view in (View.SCAN, View.EVIDENCE))
    layer.putalpha(layer.getchannel("A").point(lambda level: round(level * alpha)))
    laid_over = Image.alpha_composite(shown.convert("RGBA"), layer).convert("RGB")
    expected = blend(SCAN, upsample_heatmap(heatmap, 200, 200), alpha).astype(int)
    assert np.abs(np.asarray(laid_over) - expected).max() <= 3


def test_the_evidence_is_transparent_where_there_is_none():
    assert render(SCAN, HOT, CAPTION, 0.5, View.EVIDENCE)[..., 3].max() == 255
    assert not render(SCAN, FLAT, CAPTION, 0.5, View.EVIDENCE)[..., 3].any()


def test_the_scan_alone_is_its_pixels():
    assert np.array_equal(render(SCAN, HOT, CAPTION, 0.5, View.SCAN), SCAN)


def test_without_opacity_the_scan_stays_as_it_is():
    evidence = upsample_heatmap(HOT, 200, 200)
    assert np.array_equal(blend(SCAN, evidence, 0.0), SCAN)


def test_full_evidence_at_full_opacity_is_the_last_color():
    picture = blend(SCAN, np.ones((200, 200), np.float32), 1.0)
    assert np.array_equal(np.unique(picture.reshape(-1, 3), axis=0), turbo_colors()[-1:])


def test_blending_equals_the_formula_in_floating_point():
    evidence = np.random.default_rng(0).random((200, 200), np.float32)
    opacity = evidence[:, :, None] * 0.6
    expected = SCAN * (1 - opacity) + turbo_colors()[np.rint(evidence * 255).astype(int)] * opacity
    assert np.abs(blend(SCAN, evidence, 0.6) - expected).max() < 2.5


def test_the_hottest_point_lies_where_the_map_has_it():
    picture = render(np.zeros((140, 280, 3), np.uint8), HOT, CAPTION, 1.0, View.HEATMAP)
    rows, columns = np.nonzero((picture == turbo_colors()[-1]).all(axis=2))
    assert abs(rows.mean() - 2.5 * 20) <= 1
    assert abs(columns.mean() - 5.5 * 40) <= 1


def test_colors_are_turbo():
    import cv2

    theirs = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
    assert np.abs(turbo_colors().astype(int) - theirs).max() <= 6


def test_the_caption_names_another_class_that_is_explained():
    assert CAPTION.lines == ("glioma 97.0%",)
    assert Caption("glioma", 0.97, "pituitary", 0.01).lines == ("glioma 97.0%", "map: pituitary 1.0%")


def test_the_caption_is_burned_into_two_corners():
    written = SCAN.copy()
    write_caption(written, CAPTION)
    changed = (written != SCAN).any(axis=2)
    rows = np.flatnonzero(changed.any(axis=1))
    assert rows.min() < 20
    assert rows.max() > 180
    assert not changed[40:160].any()


@pytest.mark.parametrize("shape", [(32, 32), (32, 400), (400, 32), (3000, 2000)])
def test_any_size_gets_a_caption_or_none_but_no_error(shape):
    image = np.zeros((*shape, 3), np.uint8)
    write_caption(image, CAPTION)


def test_rendering_does_not_change_the_scan():
    before = SCAN.copy()
    render(SCAN, HOT, CAPTION, 0.7, View.SIDE_BY_SIDE)
    assert np.array_equal(SCAN, before)
