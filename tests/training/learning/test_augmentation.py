import numpy as np
import pytest

from tests.samples.phantoms import draw_scan
from training.data.boxes import Box
from training.learning.augmentation import augment, draw_pose
from training.recipe import Augmentation
from training.recipe_files import load_recipe, recipe_names

GREY = draw_scan(64, (0.3, 0.5))[:, :, 0]
STRONG = Augmentation(
    horizontal_flip=0.5, rotation=25, translation=0.1, zoom=0.2, aspect=0.1, shear=8, crop=0.2, vertical_flip=0.5
)


def _generator(seed=0):
    return np.random.default_rng(seed)


def test_without_settings_nothing_changes():
    image, pose = augment(GREY, Augmentation(), _generator())
    assert np.array_equal(image, GREY)
    assert pose.matrix == (1, 0, 0, 0, 1, 0)


def test_a_certain_flip_mirrors_left_and_right():
    image, pose = augment(GREY, Augmentation(horizontal_flip=1.0), _generator())
    assert np.array_equal(image, GREY[:, ::-1])
    moved = pose.move_box(Box(0.1, 0.2, 0.3, 0.4))
    assert (moved.x0, moved.y0, moved.x1, moved.y1) == pytest.approx((0.7, 0.2, 0.9, 0.4))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", recipe_names())
def test_size_and_depth_stay_and_the_seed_decides(name, channels):
    scan = GREY if channels == 1 else draw_scan(64, (0.3, 0.5))
    settings = load_recipe(name, {}).augmentation
    results = [augment(scan, settings, _generator(seed))[0] for seed in (0, 0, 1)]
    assert all(result.shape == scan.shape and result.dtype == np.uint8 for result in results)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("seed", range(20))
def test_a_box_follows_what_it_encloses(seed):
    """A lit rectangle is moved as pixels and as a box: the box encloses the pixels, tightly for a small turn."""
    image = np.zeros((200, 200), np.uint8)
    image[80:120, 90:130] = 255
    pose = draw_pose(STRONG, _generator(seed))
    moved, again = augment(image, STRONG, _generator(seed))
    assert pose == again
    box = pose.move_box(Box(0.45, 0.4, 0.65, 0.6))
    rows, columns = np.nonzero(moved > 127)
    found = (columns.min() / 200, rows.min() / 200, (columns.max() + 1) / 200, (rows.max() + 1) / 200)
    assert found == pytest.approx((box.x0, box.y0, box.x1, box.y1), abs=0.012)


def test_a_certain_vertical_flip_turns_upside_down():
    image, _ = augment(GREY, Augmentation(vertical_flip=1.0), _generator())
    assert np.array_equal(image, GREY[::-1])


def test_a_crop_enlarges_a_part_that_lies_inside():
    for seed in range(50):
        a, b, c, d, e, f = draw_pose(Augmentation(crop=0.9), _generator(seed)).matrix
        assert b == d == 0
        assert a * e > 0.1 - 1e-9
        assert (3 / 4 - 1e-9 <= a / e <= 4 / 3 + 1e-9) or 1.0 in (a, e)
        assert min(c, f) >= 0
        assert max(a + c, e + f) <= 1 + 1e-9


def test_a_box_moved_out_of_the_image_is_clipped():
    pose = draw_pose(Augmentation(translation=0.9), _generator(3))
    box = pose.move_box(Box(0.0, 0.0, 0.2, 0.2))
    assert 0 <= box.x0 <= box.x1 <= 1
    assert 0 <= box.y0 <= box.y1 <= 1


def test_erasing_blanks_a_part_and_leaves_the_original():
    before = GREY.copy()
    image, _ = augment(GREY, Augmentation(erasing=1.0), _generator())
    changed = (image != GREY).mean()
    assert 0.005 < changed < 0.3
    assert np.array_equal(GREY, before)
