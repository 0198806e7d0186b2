import numpy as np
import pytest

from model.card import Preprocessing
from model.images.decoded import show_as_rgb
from model.preprocessing import resize_image
from model.reliability.appearance import (
    NUM_APPEARANCE_VALUES,
    NUM_THUMBNAIL_VALUES,
    _count_up_to,
    _quantile,
    describe_appearance,
)
from tests.samples.phantoms import draw_scan

GREY = Preprocessing()


def _describe(image, preprocessing=GREY):
    return describe_appearance(resize_image(image, preprocessing))


def test_the_description_has_a_fixed_length():
    assert _describe(draw_scan(100)).shape == (NUM_APPEARANCE_VALUES,)


def test_the_thumbnail_is_the_mean_of_49_blocks():
    image = draw_scan(224, (0.4, 0.6))
    blocks = image[:, :, 0].reshape(7, 32, 7, 32).mean(axis=(1, 3)).ravel() / 255
    np.testing.assert_allclose(_describe(image)[-NUM_THUMBNAIL_VALUES:], blocks, atol=3 / 255)


def test_brightness_stands_first_in_order():
    quantiles = _describe(draw_scan(120, (0.5, 0.5)))[:9]
    assert (np.diff(quantiles) >= 0).all()
    assert 0 <= quantiles[0] <= quantiles[-1] <= 1


@pytest.mark.parametrize("size", [64, 150, 224, 300])
def test_the_network_s_input_size_hardly_matters(size):
    image = draw_scan(300, (0.5, 0.5))
    difference = _describe(image) - _describe(image, Preprocessing(input_size=size))
    assert np.abs(difference[-NUM_THUMBNAIL_VALUES:]).max() < 0.02


def test_noise_is_sharper_than_a_scan():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    assert _describe(noise)[9] > _describe(draw_scan(224))[9] + 1


def test_a_black_image_can_be_described():
    assert np.isfinite(_describe(np.zeros((64, 64, 3), np.uint8))).all()


@pytest.mark.parametrize("size", [1, 2, 240, 16384])
def test_quantiles_are_those_of_numpy(size):
    values = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    parts = [0.0, 0.02, 0.5, 0.9, 1.0]
    found = [_quantile(_count_up_to(values), part) for part in parts]
    np.testing.assert_allclose(found, np.quantile(values, parts), atol=1e-9)


def test_steps_are_those_of_numpy():
    values = np.random.default_rng(0).integers(0, 256, (112, 112), np.uint8)
    across, down = (np.abs(np.diff(values.astype(int), axis=axis)) for axis in (1, 0))
    expected = np.log(np.array([across.mean(), down.mean(), np.quantile(across, 0.9)]) + 0.25)
    np.testing.assert_allclose(describe_appearance(show_as_rgb(values))[9:12], expected, atol=1e-6)


def test_one_channel_of_a_grey_image_gives_the_description_of_all_three():
    image = draw_scan(100, (0.5, 0.5))
    np.testing.assert_allclose(_describe(image), _describe(image, Preprocessing(color="rgb")), atol=1e-5)
