import numpy as np
import pytest

from model.decoding import decode_image
from tests.benchmark.pictures import draw_pictures


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [224, 512])
def test_pictures_are_scans_of_the_kind_and_differ(form, side):
    first, second = draw_pictures(form, side, 2)
    decoded = decode_image(first.data)
    assert (decoded.format, decoded.width, decoded.height) == (form, side, side)
    assert first.data != second.data
    assert first.data == draw_pictures(form, side, 1)[0].data


def test_a_jpeg_has_the_size_of_a_real_one():
    assert 12_000 < np.median([len(picture.data) for picture in draw_pictures("JPEG", 512)]) < 50_000
