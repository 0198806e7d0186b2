"""TIFF files of every kind that tifffile writes, against arithmetic on what it was given."""

import io
import itertools
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from model.decoding import decode_image
from model.errors import ImageTooLargeError, TruncatedImageError, UnsupportedPixelsError
from tests.samples import containers
from tests.samples.containers import LONG, SHORT, grey_tags, pack_bits, write_tiff
from tests.samples.corpus import GREY, HEIGHT, RGB, WIDTH, repeat

SHADES = np.where(GREY.max() == GREY, 255, np.where(GREY.min() == GREY, 0, GREY)) / 255  # of the whole range
COLORS = np.dstack([SHADES, SHADES[::-1], SHADES[:, ::-1]])
OPACITIES = np.tile(np.linspace(-0.2, 1.2, WIDTH).clip(0, 1), (HEIGHT, 1))
# Colours, photometric interpretation, kind of the further sample.
PIXELS = {
    "grey": (1, "minisblack", None),
    "white is zero": (1, "miniswhite", None),
    "grey and alpha": (1, "minisblack", "unassalpha"),
    "white is zero and alpha": (1, "miniswhite", "unassalpha"),
    "grey and blended alpha": (1, "minisblack", "assocalpha"),
    "grey and another": (1, "minisblack", "unspecified"),
    "rgb": (3, "rgb", None),
    "rgb and alpha": (3, "rgb", "unassalpha"),
    "rgb and blended alpha": (3, "rgb", "assocalpha"),
    "rgb and another": (3, "rgb", "unspecified"),
    "cmyk": (4, "separated", None),
}
TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
LAYOUTS = tuple(itertools.product(("contig", "separate"), (None, (16, 32)), ORDERS))
CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "deflate": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "lzma": {"compression": "lzma"},
    "predicted": {"compression": "zlib", "predictor": True},
    "predicted lzw": {"compression": "lzw", "predictor": True},
    "big": {"bigtiff": True},
}


def quantise(shares: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    """Shares of the full scale as values of a type."""
    if np.dtype(kind).kind == "f":
        return shares.astype(kind)
    low, high = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    return np.rint(shares * (high - low) * (1 - 2**-40) + low).astype(kind)


def measure(values: np.ndarray[Any, Any], num_colors: int, photometric: str, extra: str | None) -> np.ndarray[Any, Any]:
    """The shades that values stand for, 0 to 255, by the definitions."""
    reals, is_unsigned = values.astype(np.float64), values.dtype.kind == "u"
    colors = reals[..., :num_colors]
    low = 0 if is_unsigned else colors.min()
    num_bits = max(8, int(values[..., :num_colors].max()).bit_length())
    shades = (colors - low) / ((2.0**num_bits - 1 if is_unsigned else colors.max()) - low)
    shades = 1 - shades if photometric == "miniswhite" else shades
    if extra == "unassalpha":
        opaque = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
        shades = shades * (reals[..., -1:] / opaque).clip(0, 1)
    if photometric == "separated":
        inks = np.rint(255 * shades).astype(np.uint8)
        return np.asarray(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()).convert("RGB"), np.float64)
    return np.broadcast_to(255 * shades, (HEIGHT, WIDTH, 3))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", PIXELS)
def test_every_kind_of_sample_is_read_as_its_definition_has_it(name, kind):
    num_colors, photometric, extra = PIXELS[name]
    colors = np.dstack([COLORS, SHADES / 2])[..., :num_colors]
    values = quantise(colors * OPACITIES[..., None] if extra == "assocalpha" else colors, kind)
    if extra:
        values = np.dstack([values, quantise(OPACITIES, kind)])
    is_single = values.shape[2] == 1
    expected = measure(values, num_colors, photometric, extra)
    # Every codec with every layout, but not for every kind.
    first = TYPES.index(kind) + list(PIXELS).index(name)
    codecs = itertools.islice(itertools.cycle(CODECS.items()), first, None)
    for (planes, tile, order), (codec, options) in zip(LAYOUTS, codecs, strict=False):
        stored = values[..., 0] if is_single else values if planes == "contig" else values.transpose(2, 0, 1)
        file = io.BytesIO()
        tifffile.imwrite(
            file,
            np.ascontiguousarray(stored).astype(f"{order}{kind}"),
            byteorder=order,
            photometric=photometric,
            extrasamples=[extra] if extra else None,
            planarconfig=None if is_single else planes,
            tile=tile,
            rowsperstrip=None if tile else 17,
            metadata=None,
            **({} if "predictor" in options and kind in ("u8", "i8", "f2") else options),  # which tifffile lacks
        )
        decoded = decode_image(file.getvalue())
        off = np.abs(decoded.image - expected).max()
        # Pillow rounds blended colours of 8 bits once more.
        assert off <= (2.5 if kind == "u1" else 1.01), (planes, tile, order, codec)
        assert ("transparent pixels were laid over black" in decoded.warnings) == (
            extra in ("unassalpha", "assocalpha")
        )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("depth", "kind"), [(8, 1), (16, 1), (16, 2), (32, 1), (32, 3), (64, 3)])
def test_white_is_zero_inverts_and_a_file_that_does_not_say_it_is_black_is_zero(order, depth, kind):
    values = quantise(SHADES, f"{order}{'_uif'[kind]}{depth // 8}")
    images = {}
    for photometric in (0, 1, None):
        tags = {**grey_tags(WIDTH, HEIGHT, depth), containers.FORMAT: (SHORT, [kind])}
        tags[containers.PHOTOMETRIC] = (SHORT, [photometric or 0])
        if photometric is None:
            del tags[containers.PHOTOMETRIC]
        images[photometric] = decode_image(write_tiff(tags, values.tobytes(), order))
    assert np.array_equal(images[0].image, 255 - images[1].image)
    assert np.array_equal(images[None].image, images[1].image)
    assert np.abs(images[1].image[:, :, 0] - 255 * SHADES).max() <= 0.51
    assert "does not say" in images[None].warnings[0]


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("depth", range(1, 17))
def test_samples_of_any_number_of_bits_are_unpacked(depth, fill_order):
    levels = np.rint(SHADES * (2**depth - 1)).astype(np.uint16)
    bits = (levels[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]
    order = ">" if depth == 16 else "<"
    for compressed in (False, True):
        data = b"".join(rows)
        tags = {**grey_tags(WIDTH, HEIGHT, depth), 266: (SHORT, [fill_order])}
        if compressed:
            data = zlib.compress(data)
            tags |= {containers.COMPRESSION: (SHORT, [8]), containers.SIZES: (LONG, [len(data)])}
        if fill_order == 2:
            data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()
        decoded = decode_image(write_tiff(tags, data, order))
        assert np.abs(decoded.image[:, :, 0] - levels * (255 / (2**depth - 1))).max() <= 0.51


def test_bits_in_use_are_those_of_all_colours_and_opacities_may_have_more():
    file = io.BytesIO()
    values = np.dstack([np.rint(COLORS * 4095), np.full(SHADES.shape, 65_535)]).astype(np.uint16)
    tifffile.imwrite(file, values, photometric="rgb", extrasamples=["unassalpha"])
    decoded = decode_image(file.getvalue())
    assert np.abs(decoded.image - 255 * COLORS).max() <= 0.51
    assert decoded.warnings == ("12-bit values were scaled to 8 bit",)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_values_that_are_not_finite_are_black_or_white(kind):
    values = SHADES.astype(kind)
    values[5, 5:8] = np.nan, np.inf, -np.inf
    decoded = decode_image(write_real(values))
    expected = np.rint(255 * SHADES.astype(kind).astype(np.float64))
    expected[5, 5:8] = 0, 255, 0
    assert np.array_equal(decoded.image[:, :, 0], expected)
    assert "not finite" in decoded.warnings[1]


def write_real(values: np.ndarray[Any, Any]) -> bytes:
    tags = {**grey_tags(WIDTH, HEIGHT, 8 * values.itemsize), containers.FORMAT: (SHORT, [3])}
    return write_tiff(tags, values.tobytes())


UNREAD: dict[str, tuple[containers.Tags, str]] = {
    "complex": ({containers.FORMAT: (SHORT, [6]), containers.BITS: (SHORT, [64])}, "64-bit samples of format 6"),
    "24 bits": ({containers.BITS: (SHORT, [24])}, "24-bit samples"),
    "real of 24 bits": ({containers.BITS: (SHORT, [24]), containers.FORMAT: (SHORT, [3])}, "24-bit samples"),
    "several depths": ({containers.BITS: (SHORT, [5, 6, 5]), containers.SAMPLES: (SHORT, [3])}, "different kinds"),
    "deep YCbCr": (
        {containers.BITS: (SHORT, [16]), containers.PHOTOMETRIC: (SHORT, [6])},
        "PhotometricInterpretation 6",
    ),
    "logarithms": ({containers.PHOTOMETRIC: (SHORT, [32_844])}, "PhotometricInterpretation 32844"),
    "JPEG 2000": ({containers.COMPRESSION: (SHORT, [34_712])}, "compression 34712"),
    "WebP": ({containers.COMPRESSION: (SHORT, [50_001])}, "compression 50001"),
    "deep JPEG": ({containers.COMPRESSION: (SHORT, [7]), containers.BITS: (SHORT, [12])}, "compression 7"),
    "predictor": (
        {containers.COMPRESSION: (SHORT, [8]), 317: (SHORT, [4]), containers.BITS: (SHORT, [16])},
        "predictor 4",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_other_kinds_of_tiff_are_refused_as_what_they_are(name):
    changes, reason = UNREAD[name]
    tags = {**grey_tags(WIDTH, HEIGHT), **changes}
    with pytest.raises(UnsupportedPixelsError, match=f"This kind of TIFF is not read: .*{reason}"):
        decode_image(write_tiff(tags, bytes(8 * GREY.size)))


@pytest.mark.parametrize("codec", ["none", "deflate", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_strips_that_end_early_are_damaged(codec, kind):
    values = quantise(SHADES, kind)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="minisblack", rowsperstrip=HEIGHT, metadata=None, **CODECS[codec])
    data = file.getvalue()
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    start, size = page.dataoffsets[0], page.databytecounts[0]
    half = data[start : start + size // 2]
    with pytest.raises(TruncatedImageError):
        decode_image(data[: start + size // 2])
    if codec != "none":  # whose number of bytes says nothing
        with pytest.raises(TruncatedImageError):
            decode_image(data.replace(struct.pack("<I", size), struct.pack("<I", len(half))))


@pytest.mark.parametrize("num_strips", [1, HEIGHT - 1, HEIGHT + 1])
def test_strips_that_are_missing_or_too_many_are_damaged(num_strips):
    tags = {**grey_tags(WIDTH, HEIGHT, 16), containers.ROWS: (LONG, [1])}
    tags |= {tag: (LONG, [16] * num_strips) for tag in (containers.STRIPS, containers.SIZES)}
    with pytest.raises(TruncatedImageError):
        decode_image(write_tiff(tags, quantise(SHADES, "u2").tobytes()))


def test_strips_that_are_read_many_times_are_damaged():
    data = zlib.compress(bytes(2 * WIDTH))
    tags = {
        **grey_tags(WIDTH, HEIGHT, 16),
        containers.ROWS: (LONG, [1]),
        containers.COMPRESSION: (SHORT, [8]),
        containers.STRIPS: (LONG, [16] * HEIGHT),
        containers.SIZES: (LONG, [2**31] * HEIGHT),
    }
    with pytest.raises(TruncatedImageError):
        decode_image(write_tiff(tags, data))


def test_samples_of_more_than_ten_bytes_a_pixel_are_too_many():
    file = io.BytesIO()
    tifffile.imwrite(file, COLORS, photometric="rgb", compression="zlib")
    assert np.abs(decode_image(file.getvalue()).image - 255 * COLORS).max() <= 0.51
    with pytest.raises(ImageTooLargeError, match=f"{10 * WIDTH * HEIGHT:,} bytes"):
        decode_image(file.getvalue(), max_image_pixels=WIDTH * HEIGHT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_images_are_turned_as_shallow_ones(orientation):
    turned = []
    for depth, values in ((8, GREY), (16, GREY.astype(np.uint16) * 257)):
        tags = {**grey_tags(WIDTH, HEIGHT, depth), containers.ORIENTATION: (SHORT, [orientation])}
        turned.append(decode_image(write_tiff(tags, values.tobytes())).image)
    assert np.array_equal(turned[0], turned[1])


def test_the_first_of_several_deep_images_is_used_with_a_warning():
    file = io.BytesIO()
    tifffile.imwrite(file, np.stack([quantise(SHADES, "f8")] * 3), photometric="minisblack")
    assert "several frames" in decode_image(file.getvalue()).warnings[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [1, 4, 8])
def test_palettes_of_big_files_are_read(order, depth):
    levels = GREY >> (8 - depth)
    colors = np.random.default_rng(depth).integers(0, 2**16, (2**depth, 3))
    tags = {**grey_tags(WIDTH, HEIGHT, depth), containers.PHOTOMETRIC: (SHORT, [3]), 320: (SHORT, colors.T.reshape(-1))}
    decoded = decode_image(write_tiff(tags, b"".join(pack_bits(levels, depth)), order, big=True))
    assert np.array_equal(decoded.image, colors[levels] >> 8)


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax_data_that_end_early_are_a_warning(compression):
    file = io.BytesIO()
    Image.fromarray(SHADES > 0.5).save(file, "TIFF", compression=compression)
    data = file.getvalue()
    assert decode_image(data).warnings == ()
    (size,) = tifffile.TiffFile(io.BytesIO(data)).pages[0].databytecounts
    cut = data.replace(struct.pack("<I", size), struct.pack("<I", size // 2))
    assert cut != data
    assert "may end early" in decode_image(cut).warnings[0]


@pytest.mark.parametrize("is_ended", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_strips_that_end_early_are_damaged(mode, is_ended):
    file = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(file, "TIFF", compression="jpeg")
    data = bytearray(file.getvalue())
    assert decode_image(bytes(data)).format == "TIFF"
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    start, size = page.dataoffsets[0], page.databytecounts[0]
    data[start + size // 2 : start + size] = (b"\xff\xd9" if is_ended else b"").ljust(size - size // 2, b"\0")
    with pytest.raises(TruncatedImageError):
        decode_image(bytes(data))


METADATA: dict[str, containers.Tags] = {
    "beyond the data": {containers.EXIF: (LONG, [2**31])},
    "itself": {containers.EXIF: (LONG, [16]), 34_853: (LONG, [16]), 40_965: (LONG, [16])},
    "two": {containers.EXIF: (LONG, [16, 20])},
    "no place": {containers.EXIF: (containers.DOUBLE, [1])},
    "interoperability": {40_965: (SHORT, [24])},
}


@pytest.mark.parametrize("name", METADATA)
def test_directories_of_metadata_are_not_needed(name):
    noise = np.random.default_rng(0).integers(0, 256, 2000, np.uint8).tobytes()
    blob = write_tiff({containers.ORIENTATION: (SHORT, [3]), **METADATA[name]}, noise)
    files = (
        write_tiff(
            {**grey_tags(WIDTH, HEIGHT), **METADATA[name], containers.ORIENTATION: (SHORT, [3])}, GREY.tobytes() + noise
        ),
        containers.write_png(
            (WIDTH, HEIGHT), 8, 0, containers.compress_rows(GREY, 8), containers.png_chunk(b"eXIf", blob)
        ),
    )
    for data in files:
        assert np.array_equal(decode_image(data).image, repeat(GREY[::-1, ::-1]))
