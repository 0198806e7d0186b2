import numpy as np
import pytest
from PIL import Image

from model.card import Preprocessing
from model.decoding import decode_image
from model.preprocessing import normalize_image, preprocess_image, resize_image, self_test_image
from tests.samples.phantoms import draw_scan, encode

SCAN = draw_scan(64, (0.4, 0.5))


def test_grey_makes_all_color_modes_of_a_scan_the_same_inputs():
    preprocessing = Preprocessing(input_size=32)
    grey = decode_image(encode(Image.fromarray(SCAN[:, :, 0])))
    for mode in ("RGB", "RGBA", "P"):
        other = decode_image(encode(Image.fromarray(SCAN).convert(mode)))
        if mode != "P":  # a palette of 256 colours is not exact
            assert np.array_equal(
                preprocess_image(other.image, preprocessing), preprocess_image(grey.image, preprocessing)
            )
    resized = resize_image(grey.image, preprocessing)
    assert np.array_equal(resized[:, :, 0], resized[:, :, 1])


def test_rgb_keeps_the_colors():
    image = SCAN.copy()
    image[:, :, 0] = 200
    resized = resize_image(image, Preprocessing(input_size=32, color="rgb"))
    assert (resized[:, :, 0] == 200).all()
    assert not np.array_equal(resized[:, :, 0], resized[:, :, 1])


def test_resizing_to_the_same_size_changes_nothing():
    assert np.array_equal(resize_image(SCAN, Preprocessing(input_size=64)), SCAN)


def test_normalization_is_the_textbook_formula():
    preprocessing = Preprocessing(input_size=64)
    inputs = normalize_image(SCAN, preprocessing)
    expected = (SCAN / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert inputs.shape == (3, 64, 64)
    assert inputs.dtype == np.float32
    assert inputs.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(inputs, expected.transpose(2, 0, 1), atol=2e-6)


def test_preprocessing_equals_torchvisions_to_the_bit_before_normalization():
    from torchvision.transforms import v2

    scan = draw_scan(200, (0.4, 0.6))
    picture = Image.fromarray(scan).convert("L")
    expected = v2.Resize((96, 96), antialias=True)(picture)
    ours = resize_image(scan, Preprocessing(input_size=96))
    assert np.array_equal(ours[:, :, 0], np.asarray(expected))


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_a_grey_file_gives_the_inputs_of_its_colour_copy_to_the_bit(color):
    preprocessing = Preprocessing(input_size=48, color=color)
    picture = Image.fromarray(draw_scan(200, (0.4, 0.6))[:, :, 0])
    grey, colour = (decode_image(encode(picture.convert(mode))).image for mode in ("L", "RGB"))
    assert np.array_equal(grey, colour)
    assert np.array_equal(preprocess_image(grey, preprocessing), preprocess_image(colour, preprocessing))
    assert np.array_equal(
        preprocess_image(grey, preprocessing)[0],
        normalize_image(resize_image(colour, preprocessing), preprocessing),
    )


def test_the_self_test_image_is_the_same_everywhere():
    image = self_test_image(64)
    assert image.shape == (64, 64, 3)
    assert int(image.astype(np.int64).sum()) == int(self_test_image(64).astype(np.int64).sum())
    assert image.min() == 0
    assert image.max() > 150


def test_blocks_are_averaged_before_the_triangle_filter_where_the_card_says_so():
    reduced = Preprocessing(input_size=96, interpolation="reduced_bilinear")
    blocks = draw_scan(480, (0.4, 0.6))[:, :, 0].reshape(96, 5, 96, 5).mean(axis=(1, 3))
    found = resize_image(draw_scan(480, (0.4, 0.6)), reduced)[:, :, 0].astype(int)
    assert np.abs(found - blocks).max() < 0.6
    smaller = draw_scan(150, (0.4, 0.6))  # no whole block fits
    assert np.array_equal(resize_image(smaller, reduced), resize_image(smaller, Preprocessing(input_size=96)))
