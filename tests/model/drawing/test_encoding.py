import io

import numpy as np
import pytest
from PIL import Image

from model.drawing.encoding import FileFormat, encode_picture
from model.drawing.png import encode_png
from model.errors import PictureFormatError
from tests.samples.phantoms import draw_scan

SCAN = draw_scan(120, (0.4, 0.5))[:100]
LAYER = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)


def read(data, form):
    picture = Image.open(io.BytesIO(data))
    assert picture.format == form
    return np.asarray(picture)


@pytest.mark.parametrize("lossless", [True, False])
def test_png_is_ours(lossless):
    assert encode_picture(SCAN, FileFormat.PNG, lossless=lossless) == encode_png(SCAN)


@pytest.mark.parametrize("image", [SCAN, LAYER], ids=["scan", "layer"])
def test_lossless_webp_keeps_every_pixel_the_transparent_ones_too(image):
    assert np.array_equal(read(encode_picture(image, FileFormat.WEBP, lossless=True), "WEBP"), image)


@pytest.mark.parametrize("form", [FileFormat.WEBP, FileFormat.JPEG])
def test_lossy_formats_are_smaller_and_close(form):
    data = encode_picture(SCAN, form, lossless=False)
    assert len(data) < len(encode_png(SCAN)) / 2
    assert np.abs(read(data, form).astype(float) - SCAN).mean() < 4


def test_jpeg_refuses_transparency():
    with pytest.raises(PictureFormatError, match="no transparency"):
        encode_picture(LAYER, FileFormat.JPEG, lossless=True)


@pytest.mark.parametrize(("form", "side"), [(FileFormat.WEBP, 16383), (FileFormat.JPEG, 65500)])
def test_the_longest_side_that_a_format_holds(form, side):
    image = np.zeros((1, side + 1, 3), np.uint8)
    assert read(encode_picture(image[:, 1:], form, lossless=False), form).shape == (1, side, 3)
    for longer in (image, image.transpose(1, 0, 2)):
        with pytest.raises(PictureFormatError, match=f"up to {side} pixels"):
            encode_picture(longer, form, lossless=False)


def test_more_blocks_than_lossy_webp_holds_are_refused():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 16383, 1), np.uint8).repeat(3, axis=2)
    with pytest.raises(PictureFormatError, match="16383 x 1024"):
        encode_picture(noise, FileFormat.WEBP, lossless=False)
