import numpy as np
import pytest
from PIL import Image

from tests.samples.phantoms import AWKWARD_CLASSES, CLASSES, create_judged
from training.evaluation.figures import write_figures

NAMES = ("by_class", "confusion_matrix", "reliability", "roc")


def _write(folder, labels, classes=CLASSES):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(len(labels), 3)).astype(np.float32)
    split = create_judged(np.array(labels), logits, logits, logits, name="official_test")
    write_figures(split, classes, folder)
    return {path.stem: np.asarray(Image.open(path).convert("L")) for path in sorted((folder / split.name).iterdir())}


@pytest.mark.parametrize("labels", [[0, 1, 2] * 4, [0, 0, 2], [2, 2], [1]])
def test_every_picture_is_drawn_whatever_classes_are_there(tmp_path, labels):
    drawn = _write(tmp_path, labels)
    assert tuple(drawn) == NAMES
    assert all(picture.std() > 5 for picture in drawn.values())


def test_a_picture_changes_with_what_it_shows(tmp_path):
    first, second = _write(tmp_path / "a", [0, 1, 2, 0]), _write(tmp_path / "b", [2, 1, 2, 0])
    assert all(not np.array_equal(first[name], second[name]) for name in NAMES)
    again = _write(tmp_path / "c", [0, 1, 2, 0])
    assert all(np.array_equal(first[name], again[name]) for name in NAMES)


def test_classes_of_any_name_are_drawn(tmp_path):
    assert tuple(_write(tmp_path, [0, 1, 2], AWKWARD_CLASSES)) == NAMES
