import contextlib
import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from model.card import Preprocessing
from model.decoding import decode_image
from model.errors import (
    BlankImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    InputError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from model.images.raster import FORMATS
from model.preprocessing import normalize_image, preprocess_image, resize_image, self_test_image
from tests.samples import containers
from tests.samples.phantoms import draw_scan, encode

SCAN = draw_scan(64, (0.4, 0.5))
assert SCAN.max() > 127  # so that 16-bit copies use all 16 bits


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form):
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    decoded = decode_image(encode(SCAN, form, **options))
    assert (decoded.format, decoded.height, decoded.width) == (form, 64, 64)
    assert np.abs(decoded.image.astype(int) - SCAN).max() <= (24 if form == "JPEG" else 0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "I", "F"])
def test_a_grey_scan_is_the_same_image_in_every_mode(mode):
    picture = Image.fromarray(SCAN[:, :, 0]).convert(mode)
    decoded = decode_image(encode(picture, "TIFF" if mode in ("I", "F") else "PNG"))
    if mode in ("I", "F"):  # no full scale is known: the values' own range is stretched
        assert (decoded.image.min(), decoded.image.max()) == (0, 255) if mode == "F" else (SCAN.min(), SCAN.max())
    else:
        assert np.array_equal(decoded.image, SCAN)


def test_a_bilevel_image_is_black_and_white():
    decoded = decode_image(encode(Image.fromarray(SCAN[:, :, 0]).convert("1")))
    assert set(np.unique(decoded.image)) == {0, 255}


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_print_colors_are_converted(mode):
    picture = Image.fromarray(SCAN).convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decode_image(encode(picture, "TIFF")).image, expected)


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


def test_values_that_are_not_finite_are_refused():
    values = np.full((64, 64), np.nan, np.float32)
    with pytest.raises(TruncatedImageError):
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
    monkeypatch.setattr("model.images.raster._STRIP_PIXELS", 64 * 5)
    stripped = decode_image(data)
    assert np.array_equal(stripped.image, whole.image)
    assert stripped.warnings == whole.warnings != ()


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


def test_an_opaque_alpha_channel_is_no_reason_to_warn():
    decoded = decode_image(encode(Image.fromarray(SCAN).convert("RGBA")))
    assert np.array_equal(decoded.image, SCAN)
    assert decoded.warnings == ()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_of_several_frames_the_first_is_used_and_said(form):
    frames = [Image.fromarray(draw_scan(64, (x, 0.5))) for x in (0.3, 0.5, 0.7)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    decoded = decode_image(data)
    assert np.array_equal(decoded.image, np.asarray(frames[0]))
    assert "several frames" in decoded.warnings[-1]


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"%PDF-1.7\n", b"GIF89a" + bytes(40), b"\x80\x04K\x01."])
def test_what_is_no_accepted_format_is_refused(data):
    with pytest.raises(UnsupportedFormatError):
        decode_image(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(form, part):
    data = encode(draw_scan(128, (0.5, 0.5)), form)
    with pytest.raises((TruncatedImageError, UnsupportedFormatError)):
        decode_image(data[: int(len(data) * part)])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about tags it passes over
def test_any_damage_is_an_input_error_or_an_image():
    generator = np.random.default_rng(0)
    for form in FORMATS:
        whole = np.frombuffer(encode(draw_scan(48, (0.5, 0.5)), form), np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            damaged[generator.integers(0, len(whole), 8)] = generator.integers(0, 256, 8)
            with contextlib.suppress(InputError):
                assert decode_image(damaged.tobytes(), 10_000).image.ndim == 3


def test_the_size_is_judged_by_the_header_before_a_pixel_is_decoded():
    data = bytearray(encode(SCAN))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(ImageTooLargeError, match="pixels"):
        decode_image(bytes(data))


def test_max_image_pixels_is_the_last_number_accepted():
    assert decode_image(encode(SCAN), max_image_pixels=64 * 64).width == 64
    with pytest.raises(ImageTooLargeError, match="64 x 64"):
        decode_image(encode(SCAN), max_image_pixels=64 * 64 - 1)


@pytest.mark.parametrize("size", [(1, 1), (31, 500), (500, 31), (10_000, 1)])
def test_too_few_pixels_are_refused(size):
    with pytest.raises(ImageTooSmallError):
        decode_image(encode(Image.new("L", size, 7)))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_is_refused(value):
    with pytest.raises(BlankImageError):
        decode_image(encode(Image.new("L", (64, 64), value)))


def test_error_messages_quote_nothing_of_the_input():
    with pytest.raises(InputError) as caught:
        decode_image(b"PATIENT^NAME secret")
    assert "PATIENT" not in str(caught.value)


def test_grey_makes_all_color_modes_of_a_scan_the_same_inputs():
    preprocessing = Preprocessing(input_size=32)
    grey = decode_image(encode(Image.fromarray(SCAN[:, :, 0])))
    for mode in ("RGB", "RGBA", "P"):
        other = decode_image(encode(Image.fromarray(SCAN).convert(mode)))
        if mode != "P":  # a palette of 256 colours is not exact
            assert np.array_equal(
                preprocess_image(other.image, preprocessing), preprocess_image(grey.image, preprocessing)
            )
    resized = resize_image(grey.image, preprocessing)
    assert np.array_equal(resized[:, :, 0], resized[:, :, 1])


def test_rgb_keeps_the_colors():
    image = SCAN.copy()
    image[:, :, 0] = 200
    resized = resize_image(image, Preprocessing(input_size=32, color="rgb"))
    assert (resized[:, :, 0] == 200).all()
    assert not np.array_equal(resized[:, :, 0], resized[:, :, 1])


def test_resizing_to_the_same_size_changes_nothing():
    assert np.array_equal(resize_image(SCAN, Preprocessing(input_size=64)), SCAN)


def test_normalization_is_the_textbook_formula():
    preprocessing = Preprocessing(input_size=64)
    inputs = normalize_image(SCAN, preprocessing)
    expected = (SCAN / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert inputs.shape == (3, 64, 64)
    assert inputs.dtype == np.float32
    assert inputs.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(inputs, expected.transpose(2, 0, 1), atol=2e-6)


def test_preprocessing_equals_torchvisions_to_the_bit_before_normalization():
    from torchvision.transforms import v2

    scan = draw_scan(200, (0.4, 0.6))
    picture = Image.fromarray(scan).convert("L")
    expected = v2.Resize((96, 96), antialias=True)(picture)
    ours = resize_image(scan, Preprocessing(input_size=96))
    assert np.array_equal(ours[:, :, 0], np.asarray(expected))


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_a_grey_file_gives_the_inputs_of_its_colour_copy_to_the_bit(color):
    preprocessing = Preprocessing(input_size=48, color=color)
    picture = Image.fromarray(draw_scan(200, (0.4, 0.6))[:, :, 0])
    grey, colour = (decode_image(encode(picture.convert(mode))).image for mode in ("L", "RGB"))
    assert np.array_equal(grey, colour)
    assert np.array_equal(preprocess_image(grey, preprocessing), preprocess_image(colour, preprocessing))
    assert np.array_equal(
        preprocess_image(grey, preprocessing)[0],
        normalize_image(resize_image(colour, preprocessing), preprocessing),
    )


def test_the_self_test_image_is_the_same_everywhere():
    image = self_test_image(64)
    assert image.shape == (64, 64, 3)
    assert int(image.astype(np.int64).sum()) == int(self_test_image(64).astype(np.int64).sum())
    assert image.min() == 0
    assert image.max() > 150


def test_a_palette_image_without_its_palette_is_damaged():
    data = encode(Image.fromarray(draw_scan(64)).convert("P"))
    start = data.index(b"PLTE") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(TruncatedImageError):
        decode_image(data[:start] + data[start + 12 + length :])
