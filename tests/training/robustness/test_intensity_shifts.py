import numpy as np
import pytest

from tests.samples.phantoms import draw_scan
from training.robustness import intensity_shifts as shifts

GENERATOR = np.random.default_rng(0)
SCAN = draw_scan(128, (0.6, 0.4))[:, :, 0]


def tissues(gain=1):
    """A head with white matter, grey matter, much that is half of either, and fluid; values as in T1."""
    image = np.zeros((80, 80), np.uint8)
    image[10:70, 10:70] = 54 * gain
    image[15:20, 15:65] = 62 * gain
    image[60:65, 15:65] = 46 * gain
    image[30:40, 30:40] = 20 * gain
    return image


def values_of(image):
    return {"air": image[0, 0], "fluid": image[35, 35], "grey": image[62, 40], "white": image[17, 40]}


def test_t2_turns_the_order_of_the_tissues_round():
    values = values_of(shifts.remap_to_t2(tissues(), 1.0, GENERATOR))
    assert values["fluid"] > values["grey"] > values["white"] > values["air"] == 0


def test_flair_does_the_same_but_suppresses_fluid():
    values = values_of(shifts.remap_to_flair(tissues(), 1.0, GENERATOR))
    assert values["grey"] > values["white"] > values["fluid"] > values["air"] == 0


def test_half_of_a_contrast_is_midway():
    whole, half = (shifts.remap_to_t2(SCAN, part, GENERATOR).astype(float) for part in (1.0, 0.5))
    assert np.abs(half - (whole + SCAN) / 2).max() <= 1


def test_the_contrast_follows_the_brightness_of_the_scan():
    dark, bright = (shifts.remap_to_t2(tissues(gain), 1.0, GENERATOR).astype(float) for gain in (1, 2))
    assert np.abs(dark * 2 - bright).max() <= 1.5


@pytest.mark.parametrize(("severity", "power"), [(-1.0, 0.5), (1.0, 2.0)])
def test_gamma_is_a_power(severity, power):
    expected = 255 * (SCAN / 255) ** power
    assert np.abs(shifts.change_gamma(SCAN, severity, GENERATOR) - expected).max() <= 0.5 + 1e-9


def test_a_bias_field_is_smooth_bounded_and_keeps_the_brain_where_it_is():
    flat = np.full((90, 120), 100, np.uint8)
    changed = shifts.add_bias_field(flat, 0.5, np.random.default_rng(1)).astype(float)
    assert changed.max() / changed.min() <= np.exp(1.0) * 1.05
    assert changed.max() / changed.min() > 1.3
    assert np.abs(np.diff(changed, axis=0)).max() < 6
    assert np.median(changed[22:68, 30:90]) == pytest.approx(100, abs=2)


def test_noise_has_the_rayleigh_distribution_where_there_is_no_signal():
    image = np.zeros((200, 200), np.uint8)
    image[60:140, 60:140] = 200
    noisy = shifts.add_noise(image, 0.1, np.random.default_rng(0)).astype(float)
    air = noisy[:50]
    assert air.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.03)  # Gudbjartsson and Patz 1995, equation 4
    assert noisy[60:140, 60:140].std() == pytest.approx(20, rel=0.1)


def test_blur_spreads_a_point_by_its_sigma_whatever_the_size():
    for side in (256, 512):
        image = np.zeros((side, side), np.uint8)
        image[side // 2 - 8 : side // 2 + 8, :] = 255
        profile = shifts.blur(image, 4.0, GENERATOR)[:, 0].astype(float)
        rows = np.arange(side)
        mean = (rows * profile).sum() / profile.sum()
        variance = ((rows - mean) ** 2 * profile).sum() / profile.sum()
        assert np.sqrt(variance - 16**2 / 12) == pytest.approx(4 * side / 256, rel=0.05)


def test_low_resolution_takes_what_is_fine_and_leaves_what_is_coarse():
    fine = np.tile(np.array([[0, 200]], np.uint8), (64, 32))
    assert shifts.lower_resolution(fine, 2.0, GENERATOR).std() < 0.1 * fine.std()
    coarse = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, axis=0)
    assert np.abs(shifts.lower_resolution(coarse, 2.0, GENERATOR).astype(float) - coarse)[:, 4:-4].max() < 5


def test_more_compression_is_further_from_the_image():
    distances = [np.abs(shifts.compress(SCAN, s, GENERATOR).astype(float) - SCAN).mean() for s in (5, 70, 90)]
    assert distances == sorted(distances)


def test_the_brain_level_is_that_of_the_middle_and_not_of_fat_or_air():
    image = tissues()
    image[5:10] = 255
    assert shifts.find_brain_level(image) == 54
    assert shifts.find_brain_level(np.zeros((40, 40), np.uint8)) == 255
