import numpy as np
import pytest
import torch
from PIL import Image

from tests.phantoms import draw_scan
from training.augmentation import create_augmentation
from training.recipe import Augmentation, load_recipe, recipe_names

GREY = Image.fromarray(draw_scan(64, (0.3, 0.5))[:, :, 0])


def test_without_settings_nothing_changes():
    assert np.array_equal(np.asarray(create_augmentation(Augmentation())(GREY)), np.asarray(GREY))


def test_a_certain_flip_mirrors_left_and_right():
    flipped = create_augmentation(Augmentation(horizontal_flip=1.0))(GREY)
    assert np.array_equal(np.asarray(flipped), np.asarray(GREY)[:, ::-1])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", recipe_names())
def test_size_and_mode_stay_and_the_seed_decides(name, mode):
    augment = create_augmentation(load_recipe(name, {}).augmentation)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augment(GREY.convert(mode)))
    assert all(result.size == (64, 64) and result.mode == mode for result in results)
    assert np.array_equal(np.asarray(results[0]), np.asarray(results[1]))
    assert not np.array_equal(np.asarray(results[0]), np.asarray(results[2]))
