import pytest

from model.decoding import decode_image
from model.errors import BlankImageError, ImageTooLargeError, ImageTooSmallError
from model.images.raster import FORMATS
from tests.soak.images import MAX_GIGAPIXEL_BYTES, draw_blank, draw_scans, draw_tiny, write_gigapixels


def test_scans_of_every_format_decode_to_the_size_they_name():
    scans = draw_scans(0)
    decoded = [decode_image(scan.data) for scan in scans]
    assert [(image.width, image.height) for image in decoded] == [(scan.width, scan.height) for scan in scans]
    assert {image.format for image in decoded} == set(FORMATS)
    assert len({scan.name for scan in scans}) == len(scans)


def test_scans_depend_on_the_seed_alone():
    assert draw_scans(1) == draw_scans(1)
    assert draw_scans(1)[0].data != draw_scans(2)[0].data


def test_what_no_service_should_judge_is_refused_for_that_reason():
    for data, error in ((draw_blank(), BlankImageError), (draw_tiny(), ImageTooSmallError)):
        with pytest.raises(error):
            decode_image(data)
    with pytest.raises(ImageTooLargeError):
        decode_image(write_gigapixels())
    assert len(write_gigapixels()) <= MAX_GIGAPIXEL_BYTES
