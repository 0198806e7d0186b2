import numpy as np
import pytest
from PIL import Image

from model.decoding import decode_image
from model.errors import TruncatedImageError
from tests.samples.corpus import RGB, read_with_opencv
from tests.samples.phantoms import encode

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
def test_data_that_end_early_are_damaged_whatever_follows(name, end):
    data = PICTURES[name]
    begin = data.rindex(b"\xff\xda")
    if end or "progressive" not in name:  # which is shown when it ends
        assert decode_image(data[:-2] + end).format == "JPEG"
    for share in (0.2, 0.5, 0.8):
        cut = data[: begin + 14 + int(share * (len(data) - begin - 14))].rstrip(b"\xff")
        with pytest.raises(TruncatedImageError):
            decode_image(cut + end)
    with pytest.raises(TruncatedImageError):
        decode_image(data[: len(data) // 2].rstrip(b"\xff") + end)


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "cmyk"])
def test_whole_data_are_decoded_as_ever(name):
    decoded = decode_image(PICTURES[name])
    assert np.abs(decoded.image.astype(int) - read_with_opencv(PICTURES[name])).max() <= 4
