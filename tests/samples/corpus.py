"""Image files of every kind, each with its expected pixels or error."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, features

from model.errors import ImageTooSmallError, InputError, TruncatedImageError, UnsupportedFormatError
from model.images.decoded import ImageArray
from tests.samples import containers
from tests.samples.containers import (
    LONG,
    SHORT,
    compress_rows,
    pack_bits,
    png_chunk,
    write_bitmap,
    write_png,
    write_tiff,
)
from tests.samples.phantoms import draw_scan, encode

SEED = 20_240_601
WIDTH, HEIGHT = 64, 48
GREY = draw_scan(WIDTH, (0.4, 0.5))[:HEIGHT, :, 0]
RGB: ImageArray = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
JPEG_TOLERANCE = 4  # one decoder's rounding against another's


@dataclass(frozen=True)
class Case:
    """One file and its expected outcome.

    Attributes:
        expected: The pixels, or the error; None if an image or any `InputError` will do.
        tolerance: Largest difference of a pixel.
    """

    name: str
    data: bytes
    expected: ImageArray | type[InputError] | None = None
    tolerance: int = 0


def repeat(grey: Any) -> ImageArray:
    """Grey as RGB."""
    return np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, axis=2)


def read_with_opencv(data: bytes) -> ImageArray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[:, :, ::-1], np.uint8)


def write_with_opencv(suffix: str, values: Any, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, values, options)
    assert done
    return data.tobytes()


def lay_over_black(rgb: Any, alpha: Any) -> ImageArray:
    return np.asarray(np.rint(rgb * (alpha[..., None] / 255.0)), np.uint8)


def ordinary_cases() -> Iterator[Case]:
    """Files that have to be read correctly."""
    yield from _png_cases()
    yield from _jpeg_cases()
    yield from _webp_cases()
    yield from _bmp_cases()
    yield from _tiff_cases()
    yield from _raw_tiff_cases()
    yield from _orientation_cases()


def odd_cases() -> Iterator[Case]:
    """Files that are damaged, foreign, of several formats at once, or of an odd size."""
    yield from _size_cases()
    yield from _foreign_cases()
    yield from _polyglot_cases()
    yield from _damage_cases()


def samples() -> dict[str, bytes]:
    """A file of each format and of the variants whose decoders differ; also the seeds of fuzzing."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    picture, deep = Image.fromarray(RGB), Image.fromarray(GREY.astype(np.uint16) * 257)
    return {
        "png": encode(picture, "PNG", exif=exif),
        "png-palette": encode(picture.convert("P"), "PNG", transparency=b"\x80\xff\0"),
        "png-16-bit": encode(deep, "PNG"),
        "png-interlaced": write_png((WIDTH, HEIGHT), 8, 2, compress_rows(RGB, 8, True), interlaced=True),
        "png-animated": _encode_several("PNG"),
        "jpeg": encode(picture, "JPEG", exif=exif),
        "jpeg-progressive": encode(picture, "JPEG", progressive=True),
        "jpeg-cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "jpeg-several": _encode_several("MPO"),
        "webp": encode(picture, "WEBP", exif=exif),
        "webp-lossless": encode(picture.convert("RGBA"), "WEBP", lossless=True),
        "webp-animated": _encode_several("WEBP", lossless=True),
        "bmp": encode(picture, "BMP"),
        "bmp-run-length": _run_length_bitmap(),
        "tiff": encode(picture, "TIFF", exif=exif),
        "tiff-lzw": encode(picture, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(deep, "TIFF", compression="tiff_deflate"),
        "tiff-jpeg": encode(picture, "TIFF", compression="jpeg"),
        "tiff-float": encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
        "tiff-several": _encode_several("TIFF"),
        "tiff-tiled": _tiled_tiff("<", big=False),
        "tiff-big": _tiled_tiff("<", big=True),
        "tiff-deep-planes": _deep_tiff(
            RGB.transpose(2, 0, 1).astype(np.uint16) * 257, photometric="rgb", compression="lzw"
        ),
        "tiff-deep-tiles": _deep_tiff(GREY.astype(np.float64), tile=(16, 16), compression="zlib"),
        "png-rgb-16-bit": write_with_opencv(".png", RGB.astype(np.uint16) * 257),
    }


def _deep_tiff(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, predictor=True, metadata=None, **options)
    return file.getvalue()


def _encode_several(form: str, **options: object) -> bytes:
    frames = [Image.fromarray(image) for image in (RGB, RGB[::-1], RGB[:, ::-1])]
    return encode(frames[0], form, save_all=True, append_images=frames[1:], **options)


def _png_cases() -> Iterator[Case]:
    size = (WIDTH, HEIGHT)
    for interlaced in (False, True):
        kind = "interlaced" if interlaced else "plain"

        def write(values: Any, depth: int, color: int, interlaced: bool = interlaced, **chunks: bytes) -> bytes:
            pixels = compress_rows(np.asarray(values), depth, interlaced)
            return write_png(size, depth, color, pixels, interlaced=interlaced, **chunks)

        for depth in (1, 2, 4, 8):
            levels, full = GREY >> (8 - depth), 2**depth - 1
            yield Case(f"png/grey-{depth}-{kind}", write(levels, depth, 0), repeat(levels * (255 // full)))
            colors = np.random.default_rng(depth).integers(0, 256, (2**depth, 3), np.uint8)
            palette = png_chunk(b"PLTE", colors.tobytes())
            yield Case(f"png/palette-{depth}-{kind}", write(levels, depth, 3, before=palette), colors[levels])
            opacities = np.linspace(0, 255, 2**depth).astype(np.uint8)
            transparent = palette + png_chunk(b"tRNS", opacities.tobytes())
            expected = lay_over_black(colors[levels], opacities[levels])
            yield Case(f"png/palette-alpha-{depth}-{kind}", write(levels, depth, 3, before=transparent), expected, 1)
        both = np.dstack([GREY, ALPHA])
        yield Case(f"png/grey-alpha-{kind}", write(both, 8, 4), lay_over_black(repeat(GREY), ALPHA), 1)
        yield Case(f"png/rgb-{kind}", write(RGB, 8, 2), RGB)
        yield Case(f"png/rgba-{kind}", write(np.dstack([RGB, ALPHA]), 8, 6), lay_over_black(RGB, ALPHA), 1)
        yield Case(f"png/grey-16-{kind}", write(GREY.astype(np.uint16) * 257, 16, 0), repeat(GREY))
        yield Case(f"png/rgb-16-{kind}", write(RGB.astype(np.uint16) * 257, 16, 2), RGB)
        deep = np.dstack([RGB, ALPHA]).astype(np.uint16) * 257
        yield Case(f"png/rgba-16-{kind}", write(deep, 16, 6), lay_over_black(RGB, ALPHA), 1)
        deep = both.astype(np.uint16) * 257
        yield Case(f"png/grey-alpha-16-{kind}", write(deep, 16, 4), lay_over_black(repeat(GREY), ALPHA), 1)
    key = png_chunk(b"tRNS", bytes((0, int(GREY[24, 30]))))
    masked = np.where(np.equal(GREY, GREY[24, 30]), 0, GREY)
    yield Case("png/grey-key", write_png(size, 8, 0, compress_rows(GREY, 8), before=key), repeat(masked))
    first = encode(Image.fromarray(RGB), "PNG")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        data = encode(Image.fromarray(RGB).convert(mode), "PNG")
        yield Case(f"png/pillow-{mode}", data, read_with_opencv(data))
    yield Case("png/two-idat", first.replace(first[33:], _split_idat(first[33:])), RGB)
    yield Case("png/no-end", first[:-12], RGB)


def _split_idat(rest: bytes) -> bytes:
    length = int.from_bytes(rest[:4], "big")
    data = rest[8 : 8 + length]
    return png_chunk(b"IDAT", data[:100]) + png_chunk(b"IDAT") + png_chunk(b"IDAT", data[100:]) + png_chunk(b"IEND")


def _jpeg_cases() -> Iterator[Case]:
    picture = Image.fromarray(RGB)
    variants: dict[str, dict[str, Any]] = {
        "baseline": {},
        "progressive": {"progressive": True},
        "optimised": {"optimize": True, "quality": 20},
        "subsampled": {"subsampling": 2},
        "full-colour": {"subsampling": 0, "quality": 100},
        "restarts": {"restart_marker_rows": 1},
        "profile": {"icc_profile": bytes(100_000)},
    }
    for name, options in variants.items():
        data = encode(picture, "JPEG", **options)
        yield Case(f"jpeg/{name}", data, read_with_opencv(data), JPEG_TOLERANCE)
    data = encode(Image.fromarray(GREY), "JPEG")
    yield Case("jpeg/grey", data, read_with_opencv(data), JPEG_TOLERANCE)
    data = encode(picture.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    yield Case("jpeg/cmyk", data, RGB, 8)
    adobe = data.index(b"Adobe")
    yield Case("jpeg/ycck", data[: adobe + 11] + b"\2" + data[adobe + 12 :], None)
    data = encode(picture, "JPEG", keep_rgb=True, quality=100, subsampling=0)
    yield Case("jpeg/rgb", data, RGB, 8)
    data = samples()["jpeg-several"]
    yield Case("jpeg/several", data, read_with_opencv(data), JPEG_TOLERANCE)


def _webp_cases() -> Iterator[Case]:
    picture = Image.fromarray(RGB)
    lossy = encode(picture, "WEBP", quality=80)
    yield Case("webp/lossy", lossy, read_with_opencv(lossy), JPEG_TOLERANCE)
    yield Case("webp/lossless", encode(picture, "WEBP", lossless=True), RGB)
    seen = Image.fromarray(np.dstack([RGB, ALPHA]))
    data = encode(seen, "WEBP", lossless=True, exact=True)
    yield Case("webp/alpha", data, lay_over_black(RGB, ALPHA), 1)
    yield Case("webp/alpha-lossy", encode(seen, "WEBP"), None)
    frames = [picture.rotate(angle) for angle in range(0, 60, 2)]
    data = encode(picture, "WEBP", save_all=True, append_images=frames, lossless=True)
    yield Case("webp/animated", data, RGB)


def _run_length_bitmap() -> bytes:
    body = b"".join(b"".join(bytes((1, value)) for value in row) + b"\0\0" for row in GREY[::-1].tolist())
    return write_bitmap((WIDTH, HEIGHT), 8, 1, body + b"\0\1", _grey_palette())


def _grey_palette(num_colors: int = 256) -> bytes:
    levels = np.linspace(0, 255, num_colors).astype(np.uint8)
    return np.stack([levels, levels, levels, 0 * levels], axis=1).tobytes()


def _bmp_cases() -> Iterator[Case]:
    size, flipped = (WIDTH, HEIGHT), GREY[::-1]
    for mode in ("1", "L", "P", "RGB"):
        data = encode(Image.fromarray(RGB).convert(mode), "BMP")
        yield Case(f"bmp/{mode}", data, read_with_opencv(data))
    yield Case("bmp/rgba", encode(Image.fromarray(np.dstack([RGB, ALPHA])), "BMP"), None)
    yield Case("bmp/rle-8", _run_length_bitmap(), repeat(GREY))
    pairs = GREY[::-1] >> 4
    body = b"".join(b"".join(bytes((1, value << 4)) for value in row) + b"\0\0" for row in pairs.tolist())
    data = write_bitmap(size, 4, 2, body + b"\0\1", _grey_palette(16))
    yield Case("bmp/rle-4", data, repeat((GREY >> 4) * 17))
    data = write_bitmap(size, 4, 0, b"".join(pack_bits(pairs, 4)), _grey_palette(16))
    yield Case("bmp/palette-4", data, repeat((GREY >> 4) * 17))
    yield Case("bmp/top-down", write_bitmap((WIDTH, -HEIGHT), 8, 0, GREY.tobytes(), _grey_palette()), repeat(GREY))
    five = GREY[::-1].astype(np.uint16) >> 3
    data = write_bitmap(size, 16, 0, (five << 10 | five << 5 | five).astype("<u2").tobytes())
    yield Case("bmp/16-bit", data, repeat(GREY >> 3 << 3), 8)
    masks = np.array([0xF800, 0x07E0, 0x001F], "<u4").tobytes()
    data = write_bitmap(size, 16, 3, (five << 11 | five << 6 | five).astype("<u2").tobytes(), masks=masks)
    yield Case("bmp/masks", data, repeat(GREY >> 3 << 3), 8)
    old = b"BM" + (26 + 3 * WIDTH * HEIGHT).to_bytes(4, "little") + bytes(4) + (26).to_bytes(4, "little")
    old += np.array([12, 0, WIDTH, HEIGHT, 1, 24], "<u2").tobytes() + repeat(flipped).tobytes()
    yield Case("bmp/os-2", old, repeat(GREY))


def _tiff_cases() -> Iterator[Case]:
    picture = Image.fromarray(RGB)
    for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        converted = picture.convert(mode) if mode != "PA" else picture.convert("P").convert("PA")
        expected = np.asarray(converted.convert("RGB"))
        yield Case(f"tiff/{mode}", encode(converted, "TIFF"), expected, 1)
    lab = Image.merge("LAB", [Image.fromarray(GREY)] * 3)
    yield Case("tiff/lab", encode(lab, "TIFF"), UnsupportedFormatError)
    for name in ("packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "zstd", "lzma"):
        for mode, expected in (("L", repeat(GREY)), ("RGB", RGB)):
            source = Image.fromarray(GREY if mode == "L" else RGB)
            try:
                data = encode(source, "TIFF", compression=name)
            except (OSError, ValueError, KeyError):  # a codec that this build of libtiff lacks
                continue
            yield Case(f"tiff/{name}-{mode}", data, expected)
    data = encode(picture, "TIFF", compression="jpeg", quality=95)
    yield Case("tiff/jpeg", data, read_with_opencv(data), 16)
    for name in ("group3", "group4"):
        two = picture.convert("1")
        data = encode(two, "TIFF", compression=name)
        yield Case(f"tiff/{name}", data, np.asarray(two.convert("RGB")))
    yield Case("tiff/16-bit", write_with_opencv(".tiff", GREY.astype(np.uint16) * 257), repeat(GREY))
    yield Case("tiff/rgb-16-bit", write_with_opencv(".tiff", RGB[:, :, ::-1].astype(np.uint16) * 257), RGB)
    scaled = np.rint((GREY - GREY.min()) * (255 / np.ptp(GREY.astype(float))))
    yield Case("tiff/float", write_with_opencv(".tiff", GREY.astype(np.float32)), repeat(scaled))
    yield Case("tiff/double", write_with_opencv(".tiff", GREY.astype(np.float64)), repeat(scaled))
    yield Case("tiff/signed", encode(Image.fromarray(GREY.astype(np.int32) - 100), "TIFF"), repeat(scaled))
    yield Case("tiff/several", samples()["tiff-several"], RGB)


def _raw_tiff_cases() -> Iterator[Case]:
    tags, data = containers.grey_tags(WIDTH, HEIGHT), GREY.tobytes()
    for order, name in (("<", "little"), (">", "big")):
        yield Case(f"tiff/{name}-endian", write_tiff(tags, data, order), repeat(GREY))
        deep = containers.grey_tags(WIDTH, HEIGHT, 16)
        values = (GREY.astype(np.uint16) * 257).astype(f"{order}u2").tobytes()
        yield Case(f"tiff/16-{name}-endian", write_tiff(deep, values, order), repeat(GREY))
        signed = {**deep, containers.FORMAT: (SHORT, [2])}
        values = (GREY.astype(np.int16) - 100).astype(f"{order}i2").tobytes()
        scaled = np.rint((GREY - GREY.min()) * (255 / np.ptp(GREY.astype(float))))
        yield Case(f"tiff/signed-16-{name}-endian", write_tiff(signed, values, order), repeat(scaled))
        yield Case(f"tiff/tiled-{name}-endian", _tiled_tiff(order, big=False), repeat(GREY))
        flat = {**tags, containers.PHOTOMETRIC: (SHORT, [0])}
        yield Case(f"tiff/white-is-zero-{name}-endian", write_tiff(flat, data, order), repeat(255 - GREY))
    yield Case("tiff/big-little-endian", write_tiff(tags, data, "<", big=True), repeat(GREY))
    yield Case("tiff/big-big-endian", write_tiff(tags, data, ">", big=True), repeat(GREY))
    yield Case("tiff/big-tiled", _tiled_tiff("<", big=True), repeat(GREY))
    for depth in (1, 2, 4):
        levels = GREY >> (8 - depth)
        small = containers.grey_tags(WIDTH, HEIGHT, depth)
        expected = repeat(levels * (255 // (2**depth - 1)))
        yield Case(f"tiff/grey-{depth}", write_tiff(small, b"".join(pack_bits(levels, depth))), expected)
    planar = {
        **tags,
        containers.BITS: (SHORT, [8, 8, 8]),
        containers.PHOTOMETRIC: (SHORT, [2]),
        containers.SAMPLES: (SHORT, [3]),
        containers.PLANAR: (SHORT, [2]),
        containers.STRIPS: (LONG, [16 + index * GREY.size for index in range(3)]),
        containers.SIZES: (LONG, [GREY.size] * 3),
    }
    yield Case("tiff/planar", write_tiff(planar, RGB.transpose(2, 0, 1).tobytes()), RGB)


def _tiled_tiff(order: str, big: bool) -> bytes:
    tiles = [GREY[top : top + 16, left : left + 16] for top in range(0, HEIGHT, 16) for left in range(0, WIDTH, 16)]
    tags = containers.grey_tags(WIDTH, HEIGHT)
    for tag in (containers.STRIPS, containers.SIZES, containers.ROWS):
        del tags[tag]
    tags[containers.TILE_WIDTH] = tags[containers.TILE_LENGTH] = (SHORT, [16])
    tags[containers.TILES] = (LONG, [16 + 256 * index for index in range(len(tiles))])
    tags[containers.TILE_SIZES] = (LONG, [256] * len(tiles))
    return write_tiff(tags, b"".join(tile.tobytes() for tile in tiles), order, big)


def _orientation_cases() -> Iterator[Case]:
    turns = (
        lambda image: image,
        lambda image: image[:, ::-1],
        lambda image: image[::-1, ::-1],
        lambda image: image[::-1],
        lambda image: image.transpose(1, 0, 2),
        lambda image: np.rot90(image, -1),
        lambda image: image[::-1, ::-1].transpose(1, 0, 2),
        lambda image: np.rot90(image),
    )
    for orientation, turn in enumerate(turns, 1):
        exif = Image.Exif()
        exif[containers.ORIENTATION] = orientation
        for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
            data = encode(Image.fromarray(RGB), form, exif=exif, **options)
            yield Case(f"orientation/{form}-{orientation}", data, turn(RGB))
        data = encode(Image.fromarray(RGB), "JPEG", exif=exif)
        upright = read_with_opencv(encode(Image.fromarray(RGB), "JPEG"))
        yield Case(f"orientation/JPEG-{orientation}", data, turn(upright), JPEG_TOLERANCE)
    for orientation in (0, 9, 65_535):
        exif = Image.Exif()
        exif[containers.ORIENTATION] = orientation
        yield Case(f"orientation/unknown-{orientation}", encode(Image.fromarray(RGB), "PNG", exif=exif), RGB)


def _size_cases() -> Iterator[Case]:
    for size in ((1, 1), (1, 10_000), (10_000, 1), (31, 400)):
        for form in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
            yield Case(f"size/{form}-{size[0]}x{size[1]}", encode(Image.new("L", size, 7), form), ImageTooSmallError)
    wide = np.tile(GREY[:32], (1, 150))
    yield Case("size/long", encode(Image.fromarray(wide)), repeat(wide))


def _foreign_cases() -> Iterator[Case]:
    page = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"><rect/></svg>'
    heads = {
        "empty": b"",
        "text": b"just some text",
        "html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        "svg": page.encode(),
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
        "executable": b"\x7fELF" + bytes(60),
        "zip": _zip_of({"scan.png": encode(RGB)}),
        "pickle": b"\x80\x04K\x01.",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n",
    }
    for name, data in heads.items():
        yield Case(f"foreign/{name}", data, UnsupportedFormatError)
    for form in ("GIF", "ICO", "PPM", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "EPS", "AVIF", "DDS", "ICNS", "QOI"):
        if form == "AVIF" and not features.check("avif"):
            continue
        yield Case(f"foreign/{form}", encode(Image.fromarray(RGB), form), UnsupportedFormatError)


def _zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _polyglot_cases() -> Iterator[Case]:
    lossless = {
        "png": encode(RGB),
        "webp": encode(RGB, "WEBP", lossless=True),
        "bmp": encode(RGB, "BMP"),
        "tiff": encode(RGB, "TIFF"),
    }
    appended = {"zip": _zip_of({"a": b"b"}), "html": b"<script>alert(1)</script>", "zeros": bytes(2**20)}
    for name, data in lossless.items():
        for other, more in appended.items():
            yield Case(f"polyglot/{name}-{other}", data + more, RGB)
        for junk in (b"\0", b"GIF89a", b"%PDF-1.4\n", b"<html>", b"\xff"):
            yield Case(f"polyglot/{junk.hex()}-{name}", junk + data, UnsupportedFormatError)
    jpeg = encode(RGB, "JPEG")
    upright = read_with_opencv(jpeg)
    comment = containers.jpeg_segment(0xFE, b"<script>alert(1)</script>*/=1;")
    yield Case("polyglot/jpeg-comment", containers.insert_segments(jpeg, comment), upright, JPEG_TOLERANCE)
    for other, more in {**appended, "jpeg": jpeg, "png": lossless["png"]}.items():
        yield Case(f"polyglot/jpeg-{other}", jpeg + more, upright, JPEG_TOLERANCE)


def _damage_cases() -> Iterator[Case]:
    generator = np.random.default_rng(SEED)
    for name, data in samples().items():
        for part in range(8):
            refused = (TruncatedImageError, UnsupportedFormatError)[part == 0]
            strict = name in ("png", "jpeg", "tiff", "webp", "bmp")  # others lose only later frames
            cut = data[: len(data) * part // 8]
            yield Case(f"damage/{name}-cut-{part}", cut, refused if strict and part in (0, 4, 5) else None)
        whole = np.frombuffer(data, np.uint8)
        for index in range(12):
            flipped = whole.copy()
            head = slice(0, min(len(whole), 400)) if index % 2 else slice(0, len(whole))
            places = generator.integers(head.start, head.stop, 4)
            flipped[places] ^= (1 << generator.integers(0, 8, 4)).astype(np.uint8)
            yield Case(f"damage/{name}-flip-{index}", flipped.tobytes())
