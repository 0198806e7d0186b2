import numpy as np
import pytest

from model.classifier import Classifier
from model.drawing.phantom import Lesion, draw_phantom, draw_test_chart
from model.drawing.png import encode_png
from model.engines.loading import DEFAULT_WEIGHTS

LESION = Lesion(x=0.7, y=0.6, radius=0.07)


@pytest.mark.parametrize("image", [draw_phantom(96, LESION), draw_phantom(97), draw_test_chart(96)])
def test_pictures_are_grey_squares_with_contrast(image):
    assert image.dtype == np.uint8
    assert image.shape == (len(image), len(image), 3)
    assert np.ptp(image, axis=2).max() == 0
    assert image.std() > 20


def test_a_seed_is_a_head():
    np.testing.assert_array_equal(draw_phantom(96, seed=1), draw_phantom(96, seed=1))
    assert (draw_phantom(96, seed=1) != draw_phantom(96, seed=2)).mean() > 0.5


@pytest.mark.parametrize("hollow", [False, True])
def test_a_lesion_is_bright_where_it_lies_and_changes_nothing_far_from_it(hollow):
    lesion = Lesion(x=0.7, y=0.4, radius=0.06, hollow=hollow)
    healthy, ill = (draw_phantom(200, seen)[..., 0].astype(float) for seen in (None, lesion))
    rows, columns = np.mgrid[0:200, 0:200] / 200
    distance = np.hypot(columns - lesion.x, rows - lesion.y) / lesion.radius
    assert ill[distance < 1.1].max() > 200
    assert (ill[distance < 0.4].mean() > healthy[distance < 0.4].mean()) is not hollow
    # Waves and noise are drawn again after those of the lesion: alike, not the same.
    assert abs(ill[distance > 3].mean() - healthy[distance > 3].mean()) < 3


def test_around_the_head_is_air():
    assert draw_phantom(200)[:6].mean() < 10


def test_the_shipped_weights_take_a_drawn_head_for_a_head_and_the_chart_for_none():
    classifier = Classifier.load(DEFAULT_WEIGHTS)
    for image, is_head in ((draw_phantom(256), True), (draw_phantom(256, LESION), True), (draw_test_chart(), False)):
        prediction = classifier.predict(encode_png(image))
        kind = prediction.input.kind
        assert kind is not None
        assert prediction.ood is not None
        assert kind.not_head_mr < 0.5 if is_head else prediction.ood.outlier
