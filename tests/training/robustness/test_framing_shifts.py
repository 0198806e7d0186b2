import numpy as np
import pytest

from tests.samples.phantoms import draw_scan
from training.robustness import framing_shifts as shifts

SCAN = draw_scan(128, (0.6, 0.4))[:, :, 0]


def generator():
    return np.random.default_rng(0)


def draw_head(size=200):
    """A brain, around it bone, around that the scalp; and the mask of the brain."""
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    radius = np.hypot(rows / 0.9, columns)
    image = np.where(radius < 0.36, 110, 0) + np.where((radius > 0.40) & (radius < 0.44), 200, 0)
    return image.astype(np.uint8), radius < 0.36


def test_skull_stripping_takes_the_scalp_and_leaves_the_brain():
    image, brain = draw_head()
    stripped = shifts.strip_skull(image, 1.0, generator())
    scalp = (image > 0) & ~brain
    assert (stripped[scalp] > 0).mean() < 0.01
    assert (stripped[brain] == image[brain]).mean() > 0.99


def test_skull_stripping_leaves_dark_parts_of_the_brain():
    image, brain = draw_head()
    image[90:110, 40:60] = 10  # a cyst at the rim
    changed = shifts.strip_skull(image, 1.0, generator())
    assert (changed[90:110, 45:60] == 10).all()
    assert (changed[brain] == image[brain]).mean() > 0.98


def test_half_a_stripped_skull_is_half_as_bright():
    image, brain = draw_head()
    stripped = shifts.strip_skull(image, 0.5, generator())
    scalp = (image > 0) & ~brain
    assert np.median(stripped[scalp]) == 100


def test_where_there_is_no_brain_nothing_is_stripped():
    image = np.zeros((64, 64), np.uint8)
    image[::8] = 200
    assert np.array_equal(shifts.strip_skull(image, 1.0, generator()), image)


def test_zooming_out_keeps_the_middle_where_it_is_and_pads_with_black():
    image = np.zeros((128, 128), np.uint8)
    image[30:50, 80:100] = 255
    changed = shifts.zoom_out(image, 0.3, generator())
    assert not changed[:15].any()
    assert not changed[:, -15:].any()
    rows, columns = np.nonzero(image > 127)
    small_rows, small_columns = np.nonzero(changed > 127)
    assert small_rows.mean() - 64 == pytest.approx(0.7 * (rows.mean() - 64), abs=1.5)
    assert small_columns.mean() - 64 == pytest.approx(0.7 * (columns.mean() - 64), abs=1.5)


def test_cropping_enlarges():
    flat = np.zeros((100, 100), np.uint8)
    flat[45:55, 45:55] = 255
    assert (shifts.crop(flat, 0.5, generator()) > 127).sum() == pytest.approx(400, rel=0.05)


def test_four_turns_by_90_degrees_are_none():
    turned = SCAN
    for _ in range(4):
        turned = shifts.rotate(turned, 90.0, generator())
    assert np.array_equal(turned, SCAN)
    assert np.array_equal(shifts.rotate(SCAN, 90.0, generator()), np.rot90(SCAN))
