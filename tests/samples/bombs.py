"""Image files made to cost much time or memory: small ones of huge announced sizes, large ones of countless parts."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from model.errors import ImageTooLargeError, TruncatedImageError
from tests.samples import containers
from tests.samples.containers import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    Tags,
    compress_rows,
    insert_segments,
    jpeg_segment,
    png_chunk,
    riff_chunk,
    webp_canvas,
    write_bitmap,
    write_png,
    write_tiff,
    write_webp,
)
from tests.samples.corpus import GREY, HEIGHT, RGB, WIDTH, Case, repeat, write_with_opencv
from tests.samples.phantoms import encode

FILE_BYTES = 20 * 2**20  # the service's limit by default
SIZE = (WIDTH, HEIGHT)
LARGE = 4096  # 4096 x 4096 is the largest image by default


def bomb_cases() -> Iterator[Case]:
    yield from _announced_sizes()
    yield from _large_images()
    yield from _png_bombs()
    yield from _jpeg_bombs()
    yield from _webp_bombs()
    yield from _bmp_bombs()
    yield from _tiff_bombs()
    yield from _exif_bombs()


def _announced_sizes() -> Iterator[Case]:
    """Files of a few bytes that announce more pixels than may be decoded."""
    png = write_png((100_000, 100_000), 8, 2, zlib.compress(bytes(4000)))
    jpeg = encode(RGB, "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    tags = {**containers.grey_tags(100_000, 100_000), containers.SIZES: (LONG, [2**32 - 1])}
    tiny = encode(Image.new("RGB", (1, 1)), "WEBP", lossless=True)
    still = riff_chunk(b"VP8L", b"\x2f" + struct.pack("<I", 0x3FFF | 0x3FFF << 14) + bytes(20))
    lossy = riff_chunk(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + bytes(20))
    files = {
        "png": png,
        "png-interlaced": write_png((100_000, 100_000), 16, 6, zlib.compress(bytes(4000)), interlaced=True),
        "jpeg": jpeg[:frame] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 4 :],
        "webp-lossless": write_webp([still]),
        "webp-lossy": write_webp([lossy]),
        "webp-canvas": write_webp([webp_canvas(16_383, 16_383, 2), *_animation(tiny[12:], 2)]),
        "webp-canvas-in-bounds-of-pillow": write_webp([webp_canvas(13_000, 13_000, 2), *_animation(tiny[12:], 2)]),
        "webp-widest-canvas": write_webp([webp_canvas(2**24, 2**8, 2), *_animation(tiny[12:], 2)]),
        "bmp": write_bitmap((2**31 - 1, 2**31 - 1), 24, 0, bytes(100)),
        "bmp-run-length": write_bitmap((60_000, 60_000), 8, 1, bytes(100), bytes(1024)),
        "tiff": write_tiff(tags, bytes(100)),
        "tiff-widest": write_tiff(containers.grey_tags(2**32 - 1, 2**32 - 1), bytes(100), big=True),
        "just-too-many": encode(Image.new("L", (LARGE, LARGE + 1), 1)),
    }
    for name, data in files.items():
        # Some codecs refuse the size themselves, as damage.
        yield Case(
            f"announced/{name}", data, None if name in ("webp-lossy", "webp-widest-canvas") else ImageTooLargeError
        )


def _large_images() -> Iterator[Case]:
    """The largest images that are accepted, in the forms that need the most memory."""
    grey = np.tile(GREY, (LARGE // HEIGHT + 1, LARGE // WIDTH))[:LARGE]
    rgba = Image.fromarray(np.dstack([repeat(grey), grey]))
    pictures: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "png-rgba": (rgba, "PNG", {"compress_level": 0}),
        "webp-rgba": (rgba.resize((2048, 2048)), "WEBP", {"method": 0}),
        "tiff-one-strip": (rgba, "TIFF", {"compression": "tiff_lzw", "strip_size": 2**30}),
        "tiff-float": (Image.fromarray(grey.astype(np.float32)), "TIFF", {"compression": "packbits"}),
        "tiff-signed": (Image.fromarray(grey.astype(np.int32)), "TIFF", {}),
        "jpeg-progressive": (Image.fromarray(repeat(grey)), "JPEG", {"progressive": True, "exif": _turned()}),
        "png-16-bit": (Image.fromarray(grey.astype(np.uint16) * 257), "PNG", {"compress_level": 1}),
    }
    for name, (picture, form, options) in pictures.items():
        yield Case(f"large/{name}", encode(picture, form, **options))
    deep = np.dstack([repeat(grey), grey]).astype(np.uint16) * 257
    yield Case("large/png-rgba-16", write_with_opencv(".png", deep, cv2.IMWRITE_PNG_COMPRESSION, 1))
    file = io.BytesIO()
    tifffile.imwrite(file, grey.astype(np.float64), compression="zlib", predictor=True, tile=(256, 256))
    yield Case("large/tiff-real-tiles", file.getvalue())
    runs = (b"\x01\x11\0\0" * LARGE) + b"\0\1"
    yield Case("large/bmp-run-length", write_bitmap((LARGE, LARGE), 8, 1, runs, bytes(range(256)) * 4), None)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[containers.ORIENTATION] = 6
    return exif


def _png_bombs() -> Iterator[Case]:
    pixels, image = compress_rows(GREY, 8), repeat(GREY)
    zeros = zlib.compress(bytes(2**28), 9)  # 256 MB in 260 KB

    def write(before: bytes = b"", after: bytes = b"", pixels: bytes = pixels) -> bytes:
        return write_png(SIZE, 8, 0, pixels, before, after)

    text = zlib.compress(bytes(2**20 - 8) + "\U0001f600".encode())
    texts = b"".join(png_chunk(b"iTXt", b"%d\0\1\0\0\0" % index + text) for index in range(64))
    for name, chunk in {
        "iccp": png_chunk(b"iCCP", b"x\0\0" + zeros),
        "ztxt": png_chunk(b"zTXt", b"x\0\0" + zeros),
        "itxt": png_chunk(b"iTXt", b"x\0\1\0\0\0" + zeros),
        "texts": texts,
        "exif-as-text": png_chunk(
            b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\n" + b"4d" * 2**18)
        ),
        "xmp": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"tiff:Orientation=" * 2**17),
    }.items():
        yield Case(f"png/{name}-before", write(before=chunk))
        yield Case(f"png/{name}-after", write(after=chunk))
    overlong = zlib.compressobj(9)
    data = overlong.compress(zlib.decompress(pixels)) + overlong.compress(bytes(2**28)) + overlong.flush()
    yield Case("png/pixels-that-go-on", write(pixels=data), image)
    for kind, content in ((b"prVt", b""), (b"IDAT", b""), (b"tEXt", b"key\0text")):
        chunk = png_chunk(kind, content)
        yield Case(f"png/chunks-{kind.decode()}", write(before=chunk * (FILE_BYTES // len(chunk))), TruncatedImageError)
    frame = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 100, 0, 0)
    control = png_chunk(b"acTL", struct.pack(">II", 5000, 0)) + png_chunk(b"fcTL", frame)
    later = [struct.pack(">I", index) for index in range(1, 10_000)]
    frames = b"".join(
        png_chunk(b"fcTL", first + frame[4:]) + png_chunk(b"fdAT", second + pixels)
        for first, second in zip(later[::2], later[1::2], strict=False)
    )
    yield Case("png/5000-frames", write(before=control, after=frames), image)


def _jpeg_bombs() -> Iterator[Case]:
    jpeg = encode(RGB, "JPEG")
    fill = {
        "empty-segments": jpeg_segment(0xE5),
        "comments": jpeg_segment(0xFE),
        "exif": jpeg_segment(0xE1, b"Exif\0\0" + b"A" * 10),
        "tables": jpeg_segment(0xDB, bytes(1) + bytes(range(1, 65))),
        "profile": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(10)),
        "fill-bytes": b"\xff",
        "escapes": b"\xff\0",
        "restarts": b"\xff\xd0",
        "ends": b"\xff\xd9",
    }
    for name, segment in fill.items():
        data = insert_segments(jpeg, segment * (FILE_BYTES // len(segment)))
        yield Case(f"jpeg/{name}", data, TruncatedImageError)
    noise = jpeg[:2] + b"\xff" + bytes(FILE_BYTES)
    yield Case("jpeg/zeros", noise)
    wide = encode(Image.new("L", (LARGE, LARGE), 128), "JPEG", progressive=True)
    scan = wide[wide.rindex(b"\xff\xda") : -2]
    yield Case("jpeg/scans", wide[:-2] + scan * 20_000 + wide[-2:], TruncatedImageError)
    yield Case("jpeg/as-many-scans-as-may-be", wide[:-2] + scan * 80 + wide[-2:])


def _animation(still: bytes, count: int, canvas: tuple[int, int] = (1, 1)) -> list[bytes]:
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in canvas)
    frame = riff_chunk(b"ANMF", bytes(6) + sides + b"\1\0\0\0" + still)
    return [riff_chunk(b"ANIM", bytes(6)), *[frame] * count]


def _webp_bombs() -> Iterator[Case]:
    still, tiny = encode(RGB, "WEBP", lossless=True)[12:], encode(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    for count in (5_000, 300_000):
        chunks = [webp_canvas(*SIZE, 2), *_animation(still, 1, SIZE), *_animation(tiny, count)[1:]]
        yield Case(f"webp/{count}-frames", write_webp(chunks), RGB if count == 5_000 else TruncatedImageError)
    many = [riff_chunk(b"UNKN")] * (FILE_BYTES // 8)
    yield Case("webp/chunks", write_webp([webp_canvas(*SIZE, 0), still, *many]), TruncatedImageError)
    for name, flag in ((b"ICCP", 0x20), (b"XMP ", 4)):
        yield Case(
            f"webp/{name.strip().decode()}",
            write_webp([webp_canvas(*SIZE, flag), riff_chunk(name, b"tiff:Orientation=" * 2**20), still]),
        )


def _bmp_bombs() -> Iterator[Case]:
    palette, count = bytes(range(256)) * 4, FILE_BYTES // 4
    for name, run in {"runs": b"\1\5\1\6", "jumps": b"\0\2\0\0", "line-ends": b"\0\0\0\0"}.items():
        yield Case(f"bmp/{name}", write_bitmap((LARGE, LARGE), 8, 1, run * count, palette), TruncatedImageError)
        yield Case(f"bmp/fewer-{name}", write_bitmap((LARGE, LARGE), 8, 1, run * (count // 12), palette))


def _tiff_bombs() -> Iterator[Case]:
    tags, pixels = containers.grey_tags(WIDTH, HEIGHT), GREY.tobytes()
    many = bytes(FILE_BYTES)
    numbers = {LONG: FILE_BYTES // 4 - 100, SHORT: FILE_BYTES // 2 - 100, BYTE: FILE_BYTES - 200}
    for kind, count in numbers.items():
        listed: Tags = {**tags, containers.STRIPS: (kind, np.ones(count, np.uint8)), containers.ROWS: (LONG, [1])}
        yield Case(f"tiff/strips-of-type-{kind}", write_tiff(listed, pixels), TruncatedImageError)
    for tag in (containers.ORIENTATION, containers.X_RESOLUTION, 65_000):
        long: Tags = {**tags, tag: (LONG, np.full(numbers[LONG], 70_000))}
        yield Case(f"tiff/numbers-of-tag-{tag}", write_tiff(long, pixels), TruncatedImageError)
    rational: Tags = {**tags, containers.X_RESOLUTION: (RATIONAL, np.arange(1, 2**18 + 1))}
    yield Case("tiff/rationals-in-bounds", write_tiff(rational, pixels), repeat(GREY))
    strips = 50_000
    again: Tags = {
        **containers.grey_tags(LARGE, LARGE),
        containers.ROWS: (LONG, [LARGE - 1]),
        containers.STRIPS: (LONG, np.full(strips, 16)),
        containers.SIZES: (LONG, np.full(strips, LARGE * LARGE)),
    }
    yield Case("tiff/the-same-strip-again-and-again", write_tiff(again, bytes(LARGE * LARGE)), TruncatedImageError)
    deep: Tags = {
        **containers.grey_tags(LARGE, LARGE, 16),
        containers.COMPRESSION: (SHORT, [8]),
        containers.ROWS: (LONG, [1]),
        containers.STRIPS: (LONG, np.full(LARGE, 16)),
        containers.SIZES: (LONG, np.full(LARGE, FILE_BYTES)),
    }
    yield Case("tiff/deep-strips-again-and-again", write_tiff(deep, many), TruncatedImageError)
    tiles = {
        **containers.grey_tags(WIDTH, HEIGHT, 16),
        containers.TILE_WIDTH: (LONG, [2**31]),
        containers.TILE_LENGTH: (LONG, [2**31]),
    }
    yield Case("tiff/deep-tile-of-exabytes", write_tiff(tiles, pixels * 2), ImageTooLargeError)
    whole = write_tiff(tags, pixels)
    yield Case("tiff/loop", whole[:-4] + whole[4:8], repeat(GREY))
    first, count = len(whole), (FILE_BYTES - len(whole)) // 6
    links = np.zeros(count, [("entries", "<u2"), ("next", "<u4")])
    links["next"] = first + 6 * np.arange(1, count + 1)
    yield Case("tiff/chain", whole[:-4] + struct.pack("<I", first) + links.tobytes(), repeat(GREY))
    head = whole[: int.from_bytes(whole[4:8], "little")]
    yield Case("tiff/65535-entries", head + b"\xff\xff" + struct.pack("<HHII", 60_000, 3, 1, 1) * 65_535)
    entry = struct.pack("<HHQQ", 60_000, 3, 1, 1)
    begin = struct.pack("<HHHQ", 43, 8, 0, 16)
    endless = b"II" + begin + struct.pack("<Q", 2**63) + entry * (FILE_BYTES // len(entry))
    yield Case("tiff/endless-directory", endless, TruncatedImageError)
    for compression in (2, 3, 4, 5, 6, 7, 8, 32_773, 32_946, 34_676, 34_887, 34_925, 50_000, 50_001):
        for size in (SIZE, (LARGE, LARGE)):
            coded = {**containers.grey_tags(*size), containers.COMPRESSION: (SHORT, [compression])}
            yield Case(f"tiff/garbage-{compression}-{size[0]}", write_tiff(coded, many[:1000] + pixels))
    inflating: Tags = {**containers.grey_tags(LARGE, LARGE), containers.COMPRESSION: (SHORT, [8])}
    inflated = zlib.compress(bytes(2**28), 9)
    inflating[containers.SIZES] = (LONG, [len(inflated)])
    for depth in (8, 16, 64):
        inflating[containers.BITS] = (SHORT, [depth])
        yield Case(f"tiff/inflated-{depth}", write_tiff(inflating, inflated))


def _exif_bombs() -> Iterator[Case]:
    """Hostile EXIF data in each format that carries them."""
    plain: tuple[int, list[int]] = (SHORT, [1])
    blobs = {
        "numbers": write_tiff({containers.ORIENTATION: (LONG, np.full(2**21, 6))}, b""),
        "rationals": write_tiff({containers.X_RESOLUTION: (RATIONAL, np.arange(1, 2**21 + 1)), 296: plain}, b""),
        "loop": write_tiff({containers.EXIF: (LONG, [16]), 34_853: (LONG, [16]), 40_965: (LONG, [16])}, b""),
        "far": write_tiff({containers.EXIF: (LONG, [2**32 - 1]), containers.ORIENTATION: plain}, b""),
        "text-as-orientation": write_tiff({containers.ORIENTATION: (BYTE, [54] * 100)}, b""),
        "many-orientations": write_tiff({containers.ORIENTATION: (SHORT, [6, 7, 8])}, b""),
        "cut": write_tiff({containers.ORIENTATION: (SHORT, [6])}, b"")[:20],
        "garbage": b"\xff" * 1000,
    }
    still = encode(RGB, "WEBP", lossless=True)[12:]
    for name, blob in blobs.items():
        parts = [blob[start : start + 65_000] for start in range(0, len(blob), 65_000)]
        segments = b"".join(jpeg_segment(0xE1, b"Exif\0\0" + part) for part in parts)
        files = {
            "jpeg": insert_segments(encode(RGB, "JPEG"), segments),
            "png": write_png(SIZE, 8, 0, compress_rows(GREY, 8), png_chunk(b"eXIf", blob)),
            "webp": write_webp([webp_canvas(*SIZE, 8), still, riff_chunk(b"EXIF", blob)]),
        }
        for form, data in files.items():
            refused = TruncatedImageError if name in ("numbers", "rationals") else None
            yield Case(f"exif/{name}-{form}", data, refused)
    directory = struct.pack("<H", 4000) + struct.pack("<HHII", 34_665, 4, 1, 16) * 4000 + bytes(4)
    many = png_chunk(b"eXIf", b"II*\0\x10\0\0\0" + bytes(8) + directory) * (FILE_BYTES // len(directory))
    yield Case("exif/many-png", write_png(SIZE, 8, 0, compress_rows(GREY, 8), many), TruncatedImageError)
    nested = write_tiff({containers.X_RESOLUTION: (RATIONAL, np.arange(1, 2**21 + 1))}, b"")
    tags: Tags = {**containers.grey_tags(WIDTH, HEIGHT), containers.EXIF: (LONG, [16 + GREY.size])}
    # The offsets in `nested` count from its own begin: moved to byte 16 + pixels, they lead elsewhere in the file.
    yield Case("exif/rationals-tiff", write_tiff(tags, GREY.tobytes() + nested[16:]), repeat(GREY))
