import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame

from model.decoding import decode_image
from model.dicom.jpeg_lossless import MAX_SAMPLES, decode_jpeg_lossless
from model.errors import ImageTooLargeError, TruncatedImageError, UnsupportedPixelsError
from tests.samples.dicoms import BUNDLED, encode_lossless


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("precision", [2, 8, 12, 16])
def test_every_predictor_restores_the_encoded_values(predictor, precision):
    values = np.random.default_rng(predictor).integers(0, 1 << precision, (9, 11))
    decoded = decode_jpeg_lossless(encode_lossless(values, precision, predictor))
    assert np.array_equal(decoded[:, :, 0], values)


def test_colours_and_a_point_transform_are_read():
    values = np.random.default_rng(0).integers(0, 256, (7, 5, 3))
    assert np.array_equal(decode_jpeg_lossless(encode_lossless(values, 8)), values)
    assert np.array_equal(decode_jpeg_lossless(encode_lossless(values, 8, 4, 2)), values >> 2 << 2)


def test_a_file_of_another_encoder_has_the_pixels_of_its_uncompressed_copy():
    # Both were made of one picture, by GDCM.
    image = decode_image((BUNDLED / "SC_rgb_jpeg_gdcm.dcm").read_bytes()).image
    assert np.array_equal(image, decode_image((BUNDLED / "SC_rgb_rle.dcm").read_bytes()).image)


def test_data_that_end_early_are_refused():
    frame = get_frame(pydicom.dcmread(BUNDLED / "SC_rgb_jpeg_gdcm.dcm").PixelData, 0, number_of_frames=1)
    for length in range(0, len(frame) - 4, 97):
        with pytest.raises(TruncatedImageError):
            decode_jpeg_lossless(frame[:length])


@pytest.mark.parametrize("change", [(b"\xff\xda", b"\xff\xdd\0\4\0\1\xff\xda"), (b"\1\x11\0", b"\1\x21\0")])
def test_what_is_not_read_is_named(change):
    frame = encode_lossless(np.arange(400).reshape(20, 20), 12)
    with pytest.raises(UnsupportedPixelsError, match="not read"):
        decode_jpeg_lossless(frame.replace(*change))


def test_bytes_that_fill_the_space_before_a_marker_are_passed_over():
    values = np.arange(400).reshape(20, 20)
    frame = encode_lossless(values, 12)
    assert np.array_equal(decode_jpeg_lossless(frame.replace(b"\xff\xda", b"\xff\xff\xff\xda"))[:, :, 0], values)
    with pytest.raises(TruncatedImageError):
        decode_jpeg_lossless(frame.replace(b"\xff\xda", b"ab\xff\xda"))


def test_changed_bytes_give_pixels_or_a_named_error():
    whole = np.frombuffer(encode_lossless(np.arange(400).reshape(20, 20), 12), np.uint8)
    generator = np.random.default_rng(1)
    for _ in range(400):
        changed = whole.copy()
        changed[generator.integers(0, len(whole), 3)] = generator.integers(0, 256, 3)
        try:
            decoded = decode_jpeg_lossless(changed.tobytes())
        except (TruncatedImageError, ImageTooLargeError, UnsupportedPixelsError):
            continue
        assert decoded.size <= MAX_SAMPLES
