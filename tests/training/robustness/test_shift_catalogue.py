import numpy as np
import pytest

from tests.samples.phantoms import draw_scan
from training.robustness.shift_catalogue import SHIFTS

SCAN = draw_scan(96, (0.6, 0.4))[:80]
COLORED = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)
CONDITIONS = [
    pytest.param(shift, severity, id=f"{shift.name} {severity:g}") for shift in SHIFTS for severity in shift.severities
]


def test_names_are_unique():
    assert len({shift.name for shift in SHIFTS}) == len(SHIFTS)


@pytest.mark.parametrize(("shift", "severity"), CONDITIONS)
def test_a_shift_makes_another_image_of_the_same_kind_and_leaves_the_first_alone(shift, severity):
    for image in (SCAN, COLORED):
        before = image.copy()
        changed = shift.apply(image, severity, seed=5)
        assert changed.dtype == np.uint8
        assert changed.shape == image.shape or (shift.name == "size" and changed.shape[2] == 3)
        assert np.array_equal(image, before)
        assert not np.array_equal(changed, image)


@pytest.mark.parametrize(("shift", "severity"), CONDITIONS)
def test_a_shift_is_the_same_by_the_same_seed(shift, severity):
    assert np.array_equal(shift.apply(SCAN, severity, seed=5), shift.apply(SCAN, severity, seed=5))


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_severity_0_leaves_the_image_as_it_is(shift):
    assert np.array_equal(shift.apply(COLORED, 0.0, seed=5), COLORED)


@pytest.mark.parametrize(("shift", "severity"), CONDITIONS)
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.full((40, 90, 3), 255, np.uint8),
        draw_scan(32),
        np.zeros((32, 500, 3), np.uint8),
        np.eye(32, dtype=np.uint8)[:, :, None].repeat(3, axis=2) * 200,
    ],
    ids=["black", "white", "small", "long", "line"],
)
def test_degenerate_images_do_no_harm(shift, severity, image):
    changed = shift.apply(image, severity, seed=5)
    assert changed.dtype == np.uint8
    assert min(changed.shape[:2]) >= 32
