import numpy as np
import pytest

from tests.samples.phantoms import draw_scan
from training.data.intensity import add_rician_noise, change_intensity, draw_curve
from training.recipe import Augmentation

GREY = draw_scan(64, (0.3, 0.5))[:, :, 0]
ALL = Augmentation(
    brightness=0.3, contrast=0.3, gamma=1.0, remap=1.0, bias_field=1.0, noise=1.0, low_resolution=1.0, blur=1.0
)


def test_without_settings_nothing_changes():
    assert np.array_equal(change_intensity(GREY, Augmentation(), np.random.default_rng(0)), GREY)


@pytest.mark.parametrize("image", [GREY, draw_scan(64), np.zeros((32, 32), np.uint8), np.full((32, 32), 255, np.uint8)])
def test_everything_at_once_keeps_shape_and_depth_and_the_original(image):
    before = image.copy()
    for seed in range(20):
        changed = change_intensity(image, ALL, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
    assert np.array_equal(image, before)


def test_noise_grows_with_its_strength():
    flat, changes = np.full((64, 64), 128, np.uint8), []
    for strength in (0.01, 0.1, 0.5):
        settings = Augmentation(noise=1, noise_strength=strength)
        noisy = [change_intensity(flat, settings, np.random.default_rng(seed)) for seed in range(20)]
        changes.append(np.std(noisy))
    assert changes[0] < changes[1] / 3 < changes[2] / 6


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "remap"])
def test_a_curve_leaves_the_background_black(name):
    for seed in range(20):
        assert draw_curve(Augmentation(**{name: 0.9}), np.random.default_rng(seed))[0] == 0


def test_only_another_sequence_changes_the_order_of_tissues():
    for seed in range(20):
        same = draw_curve(Augmentation(brightness=0.3, contrast=0.3, gamma=1.0), np.random.default_rng(seed))
        assert (np.diff(same[1:].astype(int)) >= 0).all()
    curves = [draw_curve(Augmentation(remap=1.0), np.random.default_rng(seed)) for seed in range(20)]
    assert any((np.diff(curve.astype(int)) < 0).any() for curve in curves)


def test_noise_has_the_mean_and_spread_of_rices_distribution():
    """Without signal it is Rayleigh's: mean sigma sqrt(pi / 2), variance (2 - pi / 2) sigma^2."""
    sigma = 0.1
    air = add_rician_noise(np.zeros((400, 400), np.uint8), sigma, np.random.default_rng(0)) / 255
    assert air.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.03)
    assert air.var() == pytest.approx((2 - np.pi / 2) * sigma**2, rel=0.03)
    tissue = add_rician_noise(np.full((400, 400), 128, np.uint8), sigma, np.random.default_rng(0)) / 255
    assert tissue.std() == pytest.approx(sigma, rel=0.03)
