import hashlib

import numpy as np
import pytest
from PIL import Image

from tests.samples.dicoms import make_study
from tests.samples.phantoms import draw_scan, encode
from training.data.file_facts import read_facts, read_files


def _read(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    return read_facts(path)


def test_facts_of_an_image(tmp_path):
    data = encode(Image.fromarray(draw_scan(64)).resize((96, 64)).convert("L"))
    facts = _read(tmp_path, data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.problem, facts.format, facts.mode, facts.quality) == ("", "PNG", "L", 0)
    assert (facts.width, facts.height) == (96, 64)


def test_facts_of_a_dicom_image(tmp_path):
    facts = _read(tmp_path, make_study(draw_scan(64)[:, :, 0]))
    assert (facts.problem, facts.format, facts.mode, facts.quality) == ("", "DICOM", "DICOM", 0)
    assert (facts.width, facts.height) == (64, 64)


def test_the_thumbnail_is_the_mean_over_equal_areas(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (64, 128), np.uint8)
    facts = _read(tmp_path, encode(Image.fromarray(grey)))
    assert (
        np.abs(facts.thumbnail - grey.reshape(32, 2, 32, 4).mean(axis=(1, 3))).max() <= 1
    )  # Pillow rounds rows, then columns


def test_pixels_are_the_same_whatever_they_are_stored_as(tmp_path):
    grey = Image.fromarray(draw_scan(64)).convert("L")
    stored = [
        encode(grey),
        encode(grey.convert("RGB"), "TIFF"),
        encode(grey.convert("RGBA")),
        encode(grey.convert("P"), "BMP"),
    ]
    facts = [_read(tmp_path, data) for data in stored]
    assert len({each.pixels for each in facts}) == 1
    assert len({each.sha256 for each in facts}) == 4
    assert _read(tmp_path, encode(grey.resize((64, 65)))).pixels != facts[0].pixels


@pytest.mark.parametrize("quality", [25, 49, 50, 75, 92, 100])
def test_the_quality_of_a_jpeg_is_read_from_it(tmp_path, quality):
    assert abs(_read(tmp_path, encode(draw_scan(64), "JPEG", quality=quality)).quality - quality) <= 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "formats"),
        (b"<html>", "formats"),
        (encode(draw_scan(64))[:300], "end early"),
        (encode(Image.new("L", (64, 64))), "same value"),
        (encode(Image.new("L", (8, 8), 5)), "at least 32"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, data, problem):
    facts = _read(tmp_path, data)
    assert problem in facts.problem
    assert facts.thumbnail is None
    assert facts.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_that_is_not_there_stops_no_other(tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(encode(draw_scan(64)))
    missing, read = read_files([tmp_path / "missing.png", good])
    assert missing.problem
    assert not missing.sha256
    assert not read.problem
