import numpy as np
import pytest
from PIL import Image

from model.decoding import decode_image
from training.description.statistics import format_statistics, measure_statistics
from training.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six glioma of 40 x 30, two notumor of 20 x 20, in Training; a file that is no image."""
    root = tmp_path_factory.mktemp("described")
    generator = np.random.default_rng(0)
    for label, count, size in (("glioma", 6, (30, 40)), ("notumor", 2, (20, 20))):
        (root / "Training" / label).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, size, np.uint8)
            Image.fromarray(pixels).resize((size[1] * 2, size[0] * 2)).save(root / "Training" / label / f"{index}.png")
    (root / "Training" / "notumor" / "note").write_text("no image", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def statistics(folder):
    return measure_statistics(folder)


def test_classes_are_counted_and_weighed(statistics):
    (split,) = statistics.splits
    assert (split.name, split.images, split.imbalance_ratio) == ("Training", 8, 3.0)
    glioma, notumor = split.classes
    assert (glioma.label, glioma.images, glioma.share) == ("glioma", 6, 0.75)
    assert glioma.weight * glioma.images == pytest.approx(notumor.weight * notumor.images)
    assert split.evenness == pytest.approx(-(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)))


def test_sizes_formats_and_brightness_are_those_of_the_files(statistics, folder):
    (split,) = statistics.splits
    assert [(size.width, size.height, size.images) for size in split.sizes] == [(80, 60, 6), (40, 40, 2)]
    assert split.formats == {"PNG": 8}
    means = [
        decode_image(path.read_bytes()).image.mean() for path in sorted((folder / "Training" / "glioma").glob("*.png"))
    ]
    glioma = split.classes[0]
    assert (glioma.brightness.minimum, glioma.brightness.maximum) == pytest.approx((min(means), max(means)), abs=1e-3)
    assert sum(glioma.histogram) == pytest.approx(1, abs=1e-3)


def test_what_is_no_image_is_named_and_not_counted(statistics):
    assert list(statistics.unusable) == ["Training/notumor/note"]
    assert "1 files cannot be used" in format_statistics(statistics)


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        measure_statistics(tmp_path / "missing")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_text("no image", encoding="utf-8")
    with pytest.raises(DataError, match="no image"):
        measure_statistics(tmp_path)
