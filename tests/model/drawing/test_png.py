import io

import numpy as np
import pytest
from PIL import Image

from model.drawing.png import encode_png


@pytest.mark.parametrize("num_channels", [3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (33, 64), (512, 300)])
def test_pillow_and_opencv_read_back_what_was_written(shape, num_channels):
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (*shape, num_channels), np.uint8)
    data = encode_png(image)
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert theirs is not None
    assert np.array_equal(theirs[:, :, [2, 1, 0, 3][:num_channels]], image)


def test_any_memory_layout_is_written_right():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for view in (image[:, ::-1], image.transpose(1, 0, 2), image[::2]):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(view)))), view)
