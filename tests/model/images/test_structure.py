import contextlib

import numpy as np
import pytest

from model.errors import TruncatedImageError
from model.images.structure import (
    MAX_CHUNKS,
    MAX_DIRECTORY_ENTRIES,
    MAX_DIRECTORY_NUMBERS,
    MAX_FILL_BYTES,
    MAX_RUN_LENGTH_BYTES,
    MAX_SCANS,
    MAX_SEGMENTS,
    check_structure,
)
from tests.samples import containers
from tests.samples.containers import (
    LONG,
    SHORT,
    insert_segments,
    jpeg_segment,
    png_chunk,
    riff_chunk,
    write_png,
    write_tiff,
)
from tests.samples.corpus import samples
from tests.samples.phantoms import draw_scan, encode

PIXELS = bytes(32 * 32)
JPEG = encode(draw_scan(64), "JPEG")
NUM_SEGMENTS = 9  # of that file, which Pillow wrote: JFIF, 2 tables of quantisation, frame, 4 of Huffman, scan


def make_png(num_chunks: int) -> bytes:
    return write_png((32, 32), 8, 0, b"", png_chunk(b"teXt") * (num_chunks - 3))


def make_webp(num_chunks: int) -> bytes:
    return containers.write_webp([riff_chunk(b"UNKN")] * num_chunks)


def make_jpeg(num_segments: int) -> bytes:
    return insert_segments(JPEG, jpeg_segment(0xFE) * (num_segments - NUM_SEGMENTS))


def make_scans(num_scans: int) -> bytes:
    begin = JPEG.index(b"\xff\xda")
    return JPEG[:begin] + JPEG[begin:-2] * num_scans + JPEG[-2:]


def make_fill(num_bytes: int) -> bytes:
    return insert_segments(JPEG, b"\xff" * 100 + jpeg_segment(0xFE) + b"\xff" * (num_bytes - 100))


def make_bitmap(num_bytes: int) -> bytes:
    return containers.write_bitmap((32, 32), 8, 1, bytes(num_bytes - 54))


def make_numbers(num_numbers: int) -> bytes:
    tags = containers.grey_tags(32, 32)
    return write_tiff({**tags, 65_000: (SHORT, np.zeros(num_numbers - len(tags)))}, PIXELS)


def make_entries(num_entries: int) -> bytes:
    tags: containers.Tags = {tag: (SHORT, [1]) for tag in range(1000, 1000 + num_entries)}
    return write_tiff(tags, PIXELS)


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (make_png, MAX_CHUNKS),
        (make_webp, MAX_CHUNKS),
        (make_jpeg, MAX_SEGMENTS),
        (make_scans, MAX_SCANS),
        (make_fill, MAX_FILL_BYTES),
        (make_bitmap, MAX_RUN_LENGTH_BYTES),
        (make_numbers, MAX_DIRECTORY_NUMBERS),
        (make_entries, MAX_DIRECTORY_ENTRIES),
    ],
)
def test_the_limit_is_the_last_number_accepted(make, limit):
    check_structure(make(limit))
    with pytest.raises(TruncatedImageError, match="holds more"):
        check_structure(make(limit + 1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_directories_are_checked_in_every_order(order, big):
    for excess in (0, 1):
        data = write_tiff({65_000: (SHORT, np.zeros(MAX_DIRECTORY_NUMBERS + excess))}, b"", order, big)
        with pytest.raises(TruncatedImageError) if excess else contextlib.nullcontext():
            check_structure(data)


def test_what_a_directory_announces_beyond_the_data_is_not_counted():
    noise = np.random.default_rng(0).integers(0, 256, 2000, np.uint8).tobytes()
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        check_structure(write_png((32, 32), 8, 0, b"", png_chunk(b"eXIf", head + noise)))


def test_exif_data_are_checked_in_every_format():
    exif = write_tiff({containers.ORIENTATION: (LONG, np.ones(MAX_DIRECTORY_NUMBERS + 1))}, b"")
    parts = [exif[start : start + 60_000] for start in range(0, len(exif), 60_000)]
    files = (
        insert_segments(JPEG, b"".join(jpeg_segment(0xE1, b"Exif\0\0" + part) for part in parts)),
        write_png((32, 32), 8, 0, b"", png_chunk(b"eXIf", exif)),
        containers.write_webp([riff_chunk(b"EXIF", b"Exif\0\0" + exif)]),
    )
    for data in files:
        with pytest.raises(TruncatedImageError, match="directory"):
            check_structure(data)


def test_there_is_one_piece_of_exif_data():
    exif = write_tiff({containers.ORIENTATION: (SHORT, [6])}, b"")
    for count in (1, 2):
        png = write_png((32, 32), 8, 0, b"", png_chunk(b"eXIf", exif) * count)
        webp = containers.write_webp([riff_chunk(b"EXIF", exif)] * count)
        for data in (png, webp):
            with pytest.raises(TruncatedImageError, match="EXIF") if count > 1 else contextlib.nullcontext():
                check_structure(data)


def test_bytes_behind_the_image_are_not_counted():
    png = make_png(MAX_CHUNKS)
    for data in (png + bytes(10**6), make_webp(MAX_CHUNKS) + bytes(10**6), make_jpeg(MAX_SEGMENTS) + JPEG * 100):
        check_structure(data)


def test_a_directory_that_names_itself_is_followed_no_further():
    check_structure(write_tiff({tag: (LONG, [16]) for tag in (34_665, 34_853, 40_965)}, b""))


@pytest.mark.parametrize("name", sorted(samples()))
def test_ordinary_files_pass_whole_and_cut(name):
    data = samples()[name]
    for length in range(0, len(data), max(1, len(data) // 200)):
        check_structure(data[:length])
    check_structure(data)
