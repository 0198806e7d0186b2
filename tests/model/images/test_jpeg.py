import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from model.decoding import decode_image
from model.errors import TruncatedImageError
from tests.samples.corpus import RGB, read_with_opencv
from tests.samples.phantoms import draw_scan, encode

END = b"\xff\xd9"
PICTURES = {
    "baseline": encode(RGB, "JPEG"),
    "grey": encode(RGB[:, :, 0].copy(), "JPEG"),
    "progressive": encode(RGB, "JPEG", progressive=True),
    "grey progressive": encode(Image.fromarray(RGB[:, :, 0]), "JPEG", progressive=True),
    "restarts": encode(RGB, "JPEG", restart_marker_rows=1),
    "optimised": encode(RGB, "JPEG", optimize=True, subsampling=2),
    "cmyk": encode(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "end", [b"", END, b"\xff\xfe\0\2" + END, END + bytes(1000)], ids=["none", "end", "comment", "more"]
)
@pytest.mark.parametrize("grey", [False, True])
def test_data_that_end_early_are_damaged_whatever_follows(name, end, grey):
    data = PICTURES[name]
    begin = data.rindex(b"\xff\xda")
    if end or "progressive" not in name:  # which is shown when it ends
        assert decode_image(data[:-2] + end, grey=grey).format == "JPEG"
    for share in (0.2, 0.5, 0.8):
        cut = data[: begin + 14 + int(share * (len(data) - begin - 14))].rstrip(b"\xff")
        with pytest.raises(TruncatedImageError):
            decode_image(cut + end, grey=grey)
    with pytest.raises(TruncatedImageError):
        decode_image(data[: len(data) // 2].rstrip(b"\xff") + end, grey=grey)


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "cmyk"])
def test_whole_data_are_decoded_as_ever(name):
    decoded = decode_image(PICTURES[name])
    assert np.abs(decoded.image.astype(int) - read_with_opencv(PICTURES[name])).max() <= 4


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "cmyk"])
def test_in_grey_it_is_the_luma_that_the_file_stores(name):
    grey = decode_image(PICTURES[name], grey=True)
    luma = cv2.imdecode(np.frombuffer(PICTURES[name], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert luma is not None
    assert np.abs(grey.image[:, :, 0].astype(int) - luma).max() <= 4


def test_cmyk_stores_no_luma():
    data = PICTURES["cmyk"]
    assert np.array_equal(decode_image(data, grey=True).image, decode_image(data).image)


@pytest.mark.parametrize("orientation", [1, 6])
def test_grey_stored_in_colours_is_grey_to_the_bit(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(draw_scan(97, (0.4, 0.6)), "JPEG", exif=exif, subsampling=2)
    assert np.array_equal(decode_image(data, grey=True).image, decode_image(data).image)
