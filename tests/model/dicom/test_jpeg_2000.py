"""Held against OpenJPEG's own decoding of whole files; Pillow decodes tile by tile."""

import io
import struct
from typing import Any

import numpy as np
import pydicom
import pytest
from openjpeg.utils import decode, encode_array
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless

from model.decoding import decode_image
from model.dicom.grey import NO_WINDOW
from model.dicom.jpeg_2000 import MAX_LAYERS, decode_grey, read_codestream
from model.errors import TruncatedImageError, UnsupportedPixelsError
from tests.samples.corpus import GREY, RGB, repeat
from tests.samples.dicoms import BUNDLED, FULL_WINDOW, make_dicom
from tests.samples.phantoms import encode


def encode_samples(precision: int, is_signed: bool) -> tuple[Any, bytes]:
    low, high = (-(1 << (precision - 1)), 1 << (precision - 1)) if is_signed else (0, 1 << precision)
    samples = np.random.default_rng(precision).integers(low, high, (64, 40))
    samples[0, :2] = low, high - 1
    kind = f"{'i' if is_signed else 'u'}{1 if precision <= 8 else 2}"
    return samples, encode_array(samples.astype(kind), bits_stored=precision, photometric_interpretation=2)


@pytest.mark.parametrize("precision", [2, 7, 8, 9, 12, 13, 16])
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("header_is_signed", [False, True])
def test_the_bits_of_samples_mean_what_the_dicom_header_says(precision, is_signed, header_is_signed):
    samples, data = encode_samples(precision, is_signed)
    bits = samples % (1 << precision)
    expected = np.where(bits >> (precision - 1), bits - (1 << precision), bits) if header_is_signed else bits
    assert np.array_equal(decode_grey(read_codestream(data), header_is_signed), expected)
    assert np.array_equal(decode(io.BytesIO(data)), samples)


def open_last_part(data: bytes) -> bytes:
    place = data.index(b"\xff\x90") + 6
    return data[:place] + bytes(4) + data[place + 4 :]


def wrap(data: bytes) -> bytes:
    return b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", len(data) + 8, b"jp2c") + data


@pytest.mark.parametrize(
    "change",
    [lambda data: data, lambda data: data + b"\0", open_last_part, wrap, lambda data: data[:-2]],
    ids=["whole", "padded", "open", "wrapped", "no end"],
)
@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_frames_are_read_however_they_begin_and_end(change, padding):
    data = change(encode_array(np.ascontiguousarray(GREY), bits_stored=8)) + padding
    frame = encapsulate([data])
    assert np.array_equal(decode_image(make_dicom(GREY, JPEG2000Lossless, frame, **FULL_WINDOW)).image, repeat(GREY))


def test_parts_of_tiles_may_be_interleaved():
    frame = get_frame(pydicom.dcmread(BUNDLED / "GDCMJ2K_TextGBR.dcm").PixelData, 0, number_of_frames=1)
    image = decode_image((BUNDLED / "GDCMJ2K_TextGBR.dcm").read_bytes()).image
    assert np.array_equal(image, decode(io.BytesIO(frame)))


def test_a_window_refers_to_the_samples_that_were_meant():
    stored = GREY.astype(np.int16) - 100
    data = encode_array(stored.view(np.uint16), bits_stored=16)
    scan = make_dicom(stored, JPEG2000Lossless, encapsulate([data]), WindowCenter=28.0, WindowWidth=256.0)
    assert np.array_equal(decode_image(scan).image, repeat(GREY))
    assert decode_image(make_dicom(stored, JPEG2000Lossless, encapsulate([data]))).warnings == (NO_WINDOW,)


def test_data_that_end_early_are_refused():
    _, data = encode_samples(12, False)
    for length in range(0, len(data) - 2, 41):
        with pytest.raises((TruncatedImageError, struct.error, KeyError, ValueError)):
            decode_grey(read_codestream(data[:length]), False)


def test_a_tile_that_is_missing_is_damage():
    data = encode(RGB, "JPEG2000", no_jp2=True, tile_size=(32, 32))
    assert read_codestream(data).shape == RGB.shape
    last = data.rindex(b"\xff\x90\0\x0a")
    with pytest.raises(TruncatedImageError):
        read_codestream(data[:last] + b"\xff\xd9")


def test_what_is_not_read_is_named():
    deep = encode_array((RGB.astype(np.uint16) * 16), bits_stored=12, photometric_interpretation=1)
    with pytest.raises(UnsupportedPixelsError, match="8 of each colour"):
        read_codestream(deep)
    whole = encode(RGB, "JPEG2000", no_jp2=True)
    style = whole.index(b"\xff\x52") + 6
    with pytest.raises(TruncatedImageError, match=f"{MAX_LAYERS} layers"):
        read_codestream(whole[:style] + struct.pack(">H", MAX_LAYERS + 1) + whole[style + 2 :])


def test_changed_bytes_give_pixels_or_a_named_error():
    whole = np.frombuffer(encode_array(np.ascontiguousarray(GREY), bits_stored=8), np.uint8)
    generator = np.random.default_rng(1)
    for index in range(200):
        changed = whole.copy()
        changed[generator.integers(0, 200 if index % 2 else len(whole), 3)] = generator.integers(0, 256, 3)
        scan = make_dicom(GREY, JPEG2000Lossless, encapsulate([changed.tobytes()]))
        try:
            decode_image(scan)
        except (TruncatedImageError, UnsupportedPixelsError):
            continue
