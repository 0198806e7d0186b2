import numpy as np
import pytest

from model.drawing.caption import Caption, write_caption
from tests.model.drawing.reference import write_slowly
from tests.samples.phantoms import AWKWARD_CLASSES, draw_scan

SCAN = draw_scan(200, (0.4, 0.5))
CAPTION = Caption("glioma", 0.97, "glioma", 0.97)


def test_the_caption_names_another_class_that_is_explained():
    assert CAPTION.lines == ("glioma 97.0%",)
    assert Caption("glioma", 0.97, "pituitary", 0.01).lines == ("glioma 97.0%", "map: pituitary 1.0%")


def test_the_caption_is_burned_into_two_corners():
    written = SCAN.copy()
    write_caption(written, CAPTION)
    changed = (written != SCAN).any(axis=2)
    rows = np.flatnonzero(changed.any(axis=1))
    assert rows.min() < 20
    assert rows.max() > 180
    assert not changed[40:160].any()


@pytest.mark.parametrize("shape", [(32, 32), (32, 400), (400, 32), (3000, 2000)])
def test_any_size_gets_a_caption_or_none_but_no_error(shape):
    image = np.zeros((*shape, 3), np.uint8)
    write_caption(image, CAPTION)


@pytest.mark.parametrize("side", [33, 64, 224, 350, 512, 1700])
@pytest.mark.parametrize(
    "name", ["meningioma", "notumor", "AVATo Wy. ()", "e\N{COMBINING ACUTE ACCENT}j", *AWKWARD_CLASSES]
)
def test_characters_side_by_side_are_what_pillow_writes_of_the_whole_text(side, name):
    image = np.random.default_rng(0).integers(0, 256, (side, side + 7, 3), np.uint8)
    for caption in (Caption(name, 0.9731, name, 0.9731), Caption("glioma", 0.5, name, 0.084)):
        expected = write_slowly(image, caption)
        written = image.copy()
        write_caption(written, caption)
        assert np.array_equal(written, expected)
