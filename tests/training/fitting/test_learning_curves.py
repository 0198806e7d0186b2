import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from training.fitting.learning_curves import draw_learning_curves
from training.run import EpochResult


def test_curves_are_a_picture_and_differ_with_what_they_show(tmp_path):
    pictures = []
    for losses in ([1.0, 0.5, 0.4], [1.0, 1.5, 1.7]):
        history = [
            EpochResult(index + 1, 1 + index // 2, 64, 10.0 ** -(3 + index), loss, 0.5, loss, 0.6, 1.0)
            for index, loss in enumerate(losses)
        ]
        draw_learning_curves(history, 1 + int(np.argmin(losses)), tmp_path / "curves.png")
        pictures.append(np.asarray(Image.open(tmp_path / "curves.png").convert("L")))
    assert all(picture.shape[1] > 1000 and picture.min() < 100 for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[1])


def test_without_validation_only_training_is_drawn(tmp_path):
    draw_learning_curves([EpochResult(1, 1, 64, 1e-3, 1.0, 0.5, None, None, 1.0)], 1, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_every_kind_of_line_has_its_name(tmp_path, monkeypatch):
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    history = [
        EpochResult(epoch, stage, 64, 1e-3, 1.0, 0.5, 0.9, 0.6, 1.0) for epoch, stage in ((1, 1), (2, 2), (3, 3))
    ]
    draw_learning_curves(history, 2, tmp_path / "curves.png")
    names = [text.get_text() for legend in figures[0].legends for text in legend.get_texts()]
    assert names == ["train", "validation", "new stage", "epoch kept"]
