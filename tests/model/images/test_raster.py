import contextlib
import io
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from model.decoding import decode_image
from model.errors import (
    BlankImageError,
    ImageTooLargeError,
    InputError,
    TruncatedImageError,
    UnsupportedPixelsError,
)
from model.images.raster import FORMATS
from tests.samples import containers
from tests.samples.phantoms import draw_scan, encode

SCAN = draw_scan(64, (0.4, 0.5))
assert SCAN.max() > 127  # so that 16-bit copies use all 16 bits

_DECODE_DAMAGED = """
import io
from PIL import Image
from model.images.raster import silence_pillow

{silence}
whole = io.BytesIO()
Image.linear_gradient("L").save(whole, "TIFF", compression="tiff_lzw")
damaged = bytearray(whole.getvalue())
damaged[8:2000:50] = bytes(len(damaged[8:2000:50]))
try:
    Image.open(io.BytesIO(damaged)).load()
except OSError:
    print("refused")
"""


def decode_damaged(silence: str) -> subprocess.CompletedProcess[str]:
    code = _DECODE_DAMAGED.format(silence=silence)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there libtiff's functions are not found")
def test_a_damaged_file_is_refused_and_libtiff_writes_nothing_about_it():
    assert "tempfile.tif" in decode_damaged("").stderr
    silent = decode_damaged("silence_pillow()")
    assert (silent.stdout, silent.stderr) == ("refused\n", "")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form):
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    decoded = decode_image(encode(SCAN, form, **options))
    assert (decoded.format, decoded.height, decoded.width) == (form, 64, 64)
    assert np.abs(decoded.image.astype(int) - SCAN).max() <= (24 if form == "JPEG" else 0)


def test_a_16_bit_copy_of_an_8_bit_scan_is_the_same_image():
    deep = Image.fromarray(SCAN[:, :, 0].astype(np.uint16) * 257)
    for form in ("PNG", "TIFF"):
        decoded = decode_image(encode(deep, form))
        assert np.array_equal(decoded.image, SCAN)
        assert "16-bit" in decoded.warnings[0]


def test_12_bits_in_a_16_bit_file_fill_8_bits():
    values = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = decode_image(encode(Image.fromarray(values)))
    assert decoded.image.max() == 255
    assert np.abs(decoded.image[:, :, 0] - values / 4095 * 255).max() <= 0.5
    assert "12-bit" in decoded.warnings[0]


def test_an_image_without_a_finite_value_is_blank():
    values = np.full((64, 64), np.nan, np.float32)
    with pytest.raises(BlankImageError):
        decode_image(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    picture = Image.fromarray(draw_scan(64)[:48])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    decoded = decode_image(data)
    assert np.array_equal(decoded.image, expected)
    assert (decoded.height, decoded.width) == ((48, 64) if orientation < 5 else (64, 48))


def test_exif_data_that_cannot_be_written_back_do_no_harm():
    # The width is a number, and stands there as text.
    tags: containers.Tags = {
        containers.ORIENTATION: (containers.SHORT, [6]),
        containers.WIDTH: (containers.BYTE, [1, 2]),
    }
    exif = containers.png_chunk(b"eXIf", containers.write_tiff(tags, b""))
    data = containers.write_png((64, 64), 8, 0, containers.compress_rows(SCAN[:, :, 0], 8), exif)
    assert np.array_equal(decode_image(data).image, np.rot90(SCAN, -1))


def test_a_jpeg_of_several_pictures_is_a_jpeg():
    frames = [Image.fromarray(draw_scan(64, (x, 0.5))) for x in (0.3, 0.7)]
    decoded = decode_image(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert decoded.format == "JPEG"
    assert "several frames" in decoded.warnings[-1]


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "F"])
def test_an_image_of_several_strips_is_the_same_image(mode, monkeypatch):
    alpha = draw_scan(64, seed=1)[:, :, :1]
    pixels = {
        "RGBA": np.concatenate([SCAN, alpha], axis=2),
        "I;16": SCAN[:, :, 0].astype(np.uint16) * 257,
        "F": SCAN[:, :, 0].astype(np.float32) / 7,
    }
    data = encode(Image.fromarray(pixels[mode]), "TIFF")
    whole = decode_image(data)
    monkeypatch.setattr("model.images.samples._STRIP_PIXELS", 64 * 5)
    stripped = decode_image(data)
    assert np.array_equal(stripped.image, whole.image)
    assert stripped.warnings == whole.warnings != ()


@pytest.mark.parametrize("masks", [(0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF, 0xFF00, 0xFF0000, 0xFF000000)])
def test_a_bitmap_whose_alpha_is_zero_throughout_is_opaque(masks):
    channels = np.dstack([SCAN, np.zeros((64, 64, 1), np.uint8)])[::-1].astype("<u4")
    for alpha in (0, 1):
        channels[0, 0, 3] = alpha  # of the pixel at the lower left
        pixels = sum(channels[..., index] << (mask.bit_length() - 8) for index, mask in enumerate(masks))
        head = struct.pack("<IiiHHIIiiII4I", 56, 64, 64, 1, 32, 3, 64 * 64 * 4, 0, 0, 0, 0, *masks)
        data = b"BM" + struct.pack("<IHHI", 70 + 64 * 64 * 4, 0, 0, 70) + head + pixels.astype("<u4").tobytes()
        if alpha:
            with pytest.raises(BlankImageError):
                decode_image(data)
        else:
            decoded = decode_image(data)
            assert np.array_equal(decoded.image, SCAN)
            assert "alpha" in decoded.warnings[0]


def test_pixels_that_are_named_more_than_once_are_refused():
    tags = containers.grey_tags(64, 64)
    tags[containers.ROWS] = (containers.LONG, [63])
    for count, outcome in ((2, "image"), (20, "refused")):
        tags[containers.STRIPS] = (containers.LONG, [16] * count)
        data = containers.write_tiff(tags, SCAN[:, :, 0].tobytes())
        with contextlib.nullcontext() if outcome == "image" else pytest.raises(TruncatedImageError, match="more than"):
            decode_image(data)


def test_where_warnings_are_errors_they_are_errors_of_the_image():
    tags = {**containers.grey_tags(64, 64), containers.ORIENTATION: (containers.SHORT, [1, 1, 1])}
    data = containers.write_tiff(tags, SCAN[:, :, 0].tobytes())
    with pytest.raises(TruncatedImageError):
        decode_image(data)
    with pytest.warns(UserWarning, match="too many entries"):
        assert np.array_equal(decode_image(data).image, SCAN)


def test_transparent_pixels_are_laid_over_black():
    alpha = np.full((64, 64, 1), 255, np.uint8)
    alpha[:32] = 0
    decoded = decode_image(encode(Image.fromarray(np.concatenate([SCAN, alpha], axis=2))))
    assert not decoded.image[:32].any()
    assert np.array_equal(decoded.image[32:], SCAN[32:])
    assert "transparent" in decoded.warnings[0]


def test_an_opaque_alpha_channel_gives_no_warning():
    decoded = decode_image(encode(Image.fromarray(SCAN).convert("RGBA")))
    assert np.array_equal(decoded.image, SCAN)
    assert decoded.warnings == ()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_the_first_of_several_frames_is_used_with_a_warning(form):
    frames = [Image.fromarray(draw_scan(64, (x, 0.5))) for x in (0.3, 0.5, 0.7)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    decoded = decode_image(data)
    assert np.array_equal(decoded.image, np.asarray(frames[0]))
    assert "several frames" in decoded.warnings[-1]


def test_the_size_in_the_header_is_checked_before_a_pixel_is_decoded():
    data = bytearray(encode(SCAN))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(ImageTooLargeError, match="pixels"):
        decode_image(bytes(data))


def test_max_image_pixels_is_the_last_number_accepted():
    assert decode_image(encode(SCAN), max_image_pixels=64 * 64).width == 64
    with pytest.raises(ImageTooLargeError, match="64 x 64"):
        decode_image(encode(SCAN), max_image_pixels=64 * 64 - 1)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_is_refused(value):
    with pytest.raises(BlankImageError):
        decode_image(encode(Image.new("L", (64, 64), value)))


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (encode(SCAN)[:8] + bytes(100), TruncatedImageError, "header is damaged"),
        (encode(SCAN, "JPEG")[:4] + bytes(100), TruncatedImageError, "header is damaged"),
        (encode(SCAN, "WEBP")[:12] + bytes(100), TruncatedImageError, "header is damaged"),
        (encode(SCAN, "BMP")[:30], TruncatedImageError, "header is damaged"),
        (encode(SCAN, "TIFF")[:4] + bytes(100), TruncatedImageError, "header is damaged"),
        (containers.write_bitmap((64, 64), 24, 4, encode(SCAN, "JPEG")), UnsupportedPixelsError, "BMP files with"),
        (imagecodecs.jpegls_encode(SCAN[:, :, 0]), UnsupportedPixelsError, "JPEG-LS is read in DICOM files only"),
        (imagecodecs.jpeg8_encode(SCAN[:, :, 0] * np.uint16(16), bitspersample=12), UnsupportedPixelsError, "12 bits"),
        (encode(SCAN, "JPEG").replace(b"\xff\xc0", b"\xff\xc5"), UnsupportedPixelsError, "coding of frame 5"),
        (encode(SCAN)[:4] + b"\n" + encode(SCAN)[6:], TruncatedImageError, "header is damaged"),
    ],
)
def test_a_known_signature_is_not_called_unknown(data, error, reason):
    with pytest.raises(error, match=reason):
        decode_image(data)


def test_nothing_of_a_file_is_logged(caplog):
    tags = {**containers.grey_tags(64, 64), containers.SAMPLES: (containers.LONG, [12_345])}
    with pytest.raises(InputError):
        decode_image(containers.write_tiff(tags, SCAN.tobytes()))
    assert caplog.records == []


def test_error_messages_quote_nothing_of_the_input():
    with pytest.raises(InputError) as caught:
        decode_image(b"PATIENT^NAME secret")
    assert "PATIENT" not in str(caught.value)


def test_a_palette_image_without_its_palette_is_damaged():
    data = encode(Image.fromarray(draw_scan(64)).convert("P"))
    start = data.index(b"PLTE") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(TruncatedImageError):
        decode_image(data[:start] + data[start + 12 + length :])
