import io

import pytest
from PIL import Image

from tests.benchmark.images import ORIGINAL, describe_originals, load_images
from tests.load.service import ServiceError


@pytest.fixture(autouse=True)
def _read_anew():
    load_images.cache_clear()
    yield
    load_images.cache_clear()


def test_drawn_originals_are_large_and_grey_in_both_codings(monkeypatch):
    monkeypatch.delenv("BRAIN_MRI_DATA", raising=False)
    pictures = [Image.open(io.BytesIO(data)) for data in load_images(ORIGINAL)]
    assert {(picture.format, picture.size) for picture in pictures} == {("JPEG", (512, 512))}
    assert [picture.mode for picture in pictures].count("RGB") == len(pictures) / 2
    assert "drawn" in describe_originals()


def test_originals_are_the_same_files_of_a_data_set_in_every_run(monkeypatch, tmp_path):
    for index in range(100):
        (tmp_path / f"{index:03}.jpg").write_bytes(b"%d" % index)
    monkeypatch.setenv("BRAIN_MRI_DATA", str(tmp_path))
    assert load_images(ORIGINAL) == [b"%d" % (index * 100 // 32) for index in range(32)]
    assert "BRAIN_MRI_DATA" in describe_originals()


def test_a_data_set_without_jpeg_files_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAIN_MRI_DATA", str(tmp_path))
    with pytest.raises(ServiceError, match="BRAIN_MRI_DATA"):
        load_images(ORIGINAL)


def test_other_kinds_are_named_by_format_and_side():
    picture = Image.open(io.BytesIO(load_images("PNG 224")[0]))
    assert (picture.format, picture.size) == ("PNG", (224, 224))
