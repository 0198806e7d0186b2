import numpy as np
import pytest

from model.card import Preprocessing
from model.preprocessing import preprocess_image
from model.reliability.appearance import NUM_APPEARANCE_VALUES, NUM_THUMBNAIL_VALUES, _quantiles, describe_appearance
from tests.samples.phantoms import draw_scan

GREY = Preprocessing()


def _describe(image, preprocessing=GREY):
    return describe_appearance(preprocess_image(image, preprocessing), preprocessing)[0]


def test_the_description_does_not_depend_on_the_batch():
    inputs = np.concatenate([preprocess_image(draw_scan(100, seed=seed), GREY) for seed in range(3)])
    together = describe_appearance(inputs, GREY)
    assert together.shape == (3, NUM_APPEARANCE_VALUES)
    for index in range(3):
        assert np.array_equal(together[index], describe_appearance(inputs[index : index + 1], GREY)[0])


def test_the_thumbnail_is_the_mean_of_64_blocks():
    image = draw_scan(224, (0.4, 0.6))
    blocks = image[:, :, 0].reshape(8, 28, 8, 28).mean(axis=(1, 3)).ravel() / 255
    np.testing.assert_allclose(_describe(image)[-NUM_THUMBNAIL_VALUES:], blocks, atol=1e-4)


def test_the_normalisation_is_undone():
    other = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3))
    image = draw_scan(120, (0.5, 0.4))
    np.testing.assert_allclose(_describe(image), _describe(image, other), atol=2e-3)


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
    values = np.random.default_rng(size).random(size, np.float32)
    parts = np.array([0.0, 0.02, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(_quantiles(values, parts), np.quantile(values, parts), atol=1e-6)


def test_one_channel_of_a_grey_image_says_what_all_three_do():
    image = draw_scan(100, (0.5, 0.5))
    all_channels = describe_appearance(preprocess_image(image, GREY), GREY.model_copy(update={"color": "rgb"}))[0]
    np.testing.assert_allclose(_describe(image), all_channels, atol=1e-5)
