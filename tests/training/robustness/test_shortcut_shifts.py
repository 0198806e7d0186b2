import numpy as np
import pytest
from PIL import Image

from tests.samples.phantoms import draw_scan
from training.robustness import shortcut_shifts as shifts

SCAN = draw_scan(128, (0.6, 0.4))
GENERATOR = np.random.default_rng(0)


def luma(image):
    return np.asarray(Image.fromarray(image).convert("L")).astype(int)


def test_masking_the_border_touches_nothing_else():
    masked = shifts.mask_border(SCAN, 0.1, GENERATOR)
    assert np.array_equal(masked[13:-13, 13:-13], SCAN[13:-13, 13:-13])
    assert not masked[:13].any()
    assert not masked[:, -13:].any()


def test_a_grey_picture_gets_a_tint_without_changing_its_luma():
    tinted = shifts.change_color_mode(SCAN, 1.0, GENERATOR)
    assert (tinted != tinted[:, :, :1]).any()
    assert np.abs(luma(tinted) - luma(SCAN)).max() <= 1


def test_a_colored_picture_becomes_grey_without_changing_its_luma():
    colored = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    grey = shifts.change_color_mode(colored, 1.0, GENERATOR)
    assert (grey == grey[:, :, :1]).all()
    assert np.array_equal(luma(grey), luma(colored))


@pytest.mark.parametrize(("severity", "side"), [(-1.0, 64), (1.0, 256), (-3.0, 32)])
def test_the_size_changes_by_powers_of_2_but_not_below_what_is_accepted(severity, side):
    assert shifts.change_size(SCAN, severity, GENERATOR).shape == (side, side, 3)


def test_two_mirrors_are_none():
    once = shifts.mirror(SCAN, 1.0, GENERATOR)
    assert np.array_equal(once, SCAN[:, ::-1])
    assert np.array_equal(shifts.mirror(once, 1.0, GENERATOR), SCAN)
