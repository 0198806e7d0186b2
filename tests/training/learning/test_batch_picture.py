import numpy as np
import pytest
from PIL import Image

from tests.samples.phantoms import draw_slice
from training.learning.batch_picture import MAX_IMAGES, draw_batch

NOWHERE = np.zeros((28, 28), np.float32)


@pytest.mark.parametrize("num_samples", [1, 9, MAX_IMAGES + 3])
@pytest.mark.parametrize("color", [False, True])
def test_every_scan_of_a_batch_is_shown(tmp_path, num_samples, color):
    images = [draw_slice(seed, 64) for seed in range(num_samples)]
    if color:
        images = [np.repeat(image[:, :, None], 3, axis=2) for image in images]
    samples = [(image, np.eye(2, dtype=np.float32)[0], NOWHERE, NOWHERE) for image in images]
    draw_batch(samples, ["$\\nonsense$", "other"], tmp_path / "new" / "batch.png")
    drawn = np.asarray(Image.open(tmp_path / "new" / "batch.png").convert("L"))
    rows = -(-min(num_samples, MAX_IMAGES) // 8)
    assert drawn.shape == (150 * rows, 1040)
    cells = np.array([[drawn[150 * row + 75, 130 * column + 65] for column in range(8)] for row in range(rows)])
    assert (cells < 255).sum() == min(num_samples, MAX_IMAGES)
