import zlib

import cv2
import numpy as np
import pytest

from model.decoding import decode_image
from model.errors import TruncatedImageError
from tests.samples.containers import compress_rows, png_chunk, write_png
from tests.samples.corpus import ALPHA, GREY, HEIGHT, RGB, WIDTH

SIZE = (WIDTH, HEIGHT)
GREY_COLOR, RGB_COLOR, GREY_ALPHA_COLOR, RGBA_COLOR = 0, 2, 4, 6
PIXELS = {
    GREY_COLOR: GREY[..., None],
    RGB_COLOR: RGB,
    GREY_ALPHA_COLOR: np.dstack([GREY, ALPHA]),
    RGBA_COLOR: np.dstack([RGB, ALPHA]),
}


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("num_bits", [8, 10, 12, 16])
@pytest.mark.parametrize("color", PIXELS)
def test_16_bit_samples_are_scaled_by_the_bits_in_use(color, num_bits, interlaced):
    values = np.rint(PIXELS[color] / 255 * (2**num_bits - 1)).astype(np.uint16)
    num_colors = values.shape[2] - (color in (GREY_ALPHA_COLOR, RGBA_COLOR))
    values[0, 0, :num_colors] = 2**num_bits - 1  # so that they are in use
    decoded = decode_image(write_png(SIZE, 16, color, compress_rows(values, 16, interlaced), interlaced=interlaced))
    shares = values / (2**num_bits - 1)
    opacities = shares[..., num_colors:] if num_colors < values.shape[2] else 1
    assert np.abs(decoded.image - 255 * shares[..., :num_colors] * opacities).max() <= 0.51
    assert decoded.warnings[0] == f"{num_bits}-bit values were scaled to 8 bit"
    assert len(decoded.warnings) == 1 + (num_colors < values.shape[2])


@pytest.mark.parametrize("color", [GREY_ALPHA_COLOR, RGBA_COLOR])
def test_opacities_may_have_more_bits_in_use_than_the_colours(color):
    values = PIXELS[color].astype(np.uint16) * 16
    values[..., -1] = 2**16 - 1
    decoded = decode_image(write_png(SIZE, 16, color, compress_rows(values, 16)))
    assert np.abs(decoded.image - values[..., :-1] / 4095 * 255).max() <= 0.51
    assert decoded.warnings == ("12-bit values were scaled to 8 bit",)


@pytest.mark.parametrize("color", [GREY_COLOR, RGB_COLOR])
def test_a_16_bit_colour_that_is_transparent_is_black(color):
    values = PIXELS[color].astype(np.uint16) * 257
    key = values[24, 30]
    data = write_png(SIZE, 16, color, compress_rows(values, 16), png_chunk(b"tRNS", key.astype(">u2").tobytes()))
    expected = np.where((values == key).all(axis=2, keepdims=True), 0, PIXELS[color])
    assert np.array_equal(decode_image(data).image, np.broadcast_to(expected, (HEIGHT, WIDTH, 3)))


def test_opencv_reads_the_same_16_bit_colours():
    values = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    _, data = cv2.imencode(".png", values[..., ::-1])
    assert np.array_equal(decode_image(data.tobytes()).image, np.rint(values / 257))


@pytest.mark.parametrize("depth", [1, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("height", [HEIGHT, HEIGHT - 1])
def test_data_that_end_properly_before_the_rows_do_are_damaged(depth, interlaced, height):
    values = GREY[:height].astype(np.uint16) * (257 if depth == 16 else 1) >> (7 if depth == 1 else 0)
    for last in (values[-1], 0 * values[-1], 0 * values[-1] + (2**depth - 1), 0 * values[-1] + 1):
        values[-1] = values[-2] = last  # whatever the last rows hold, they are there
        rows = zlib.decompress(compress_rows(values, depth, interlaced))
        size = (WIDTH, height)
        assert decode_image(write_png(size, depth, 0, zlib.compress(rows), interlaced=interlaced)).height == height
        row_bytes = 1 + -(-WIDTH * depth // 8)
        for missing in (1, row_bytes, len(rows) // 2):
            with pytest.raises(TruncatedImageError):
                decode_image(write_png(size, depth, 0, zlib.compress(rows[:-missing]), interlaced=interlaced))
