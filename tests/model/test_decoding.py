"""Any bytes give an image or a named error."""

import io
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model.decoding import decode_image
from model.errors import InputError
from model.images.decoded import MIN_SIDE_PIXELS
from model.images.raster import FORMATS
from tests.samples.corpus import samples

MAX_IMAGE_PIXELS = 200_000
SAMPLES = samples()
HEADS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0@\0\0\0@\x08\2\0\0\0",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM\0*\0\0\0\x08",
    b"RIFF\xff\xff\0\0WEBPVP8 ",
    b"RIFF\xff\xff\0\0WEBPVP8L",
    b"RIFF\xff\xff\0\0WEBPVP8X\n\0\0\0",
    b"BM\xff\xff\0\0\0\0\0\x006\0\0\0(\0\0\0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
)
# Pillow's warnings are about tags that it passes over; the service shows them to nobody.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
# The same examples on every machine; the time that one takes is bounded elsewhere.
repeatable = partial(
    settings, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def decode_or_refuse(data: bytes) -> None:
    try:
        decoded = decode_image(data, MAX_IMAGE_PIXELS)
    except InputError:
        return
    assert decoded.format in FORMATS
    assert decoded.image.dtype == np.uint8
    assert decoded.image.shape[2] == 3
    assert min(decoded.image.shape[:2]) >= MIN_SIDE_PIXELS
    assert decoded.image[:, :, 0].size <= MAX_IMAGE_PIXELS


@repeatable(max_examples=400)
@given(st.sampled_from((b"", *HEADS)), st.binary(max_size=600))
@example(b"", b"")
def test_random_bytes_behind_any_head(head, rest):
    decode_or_refuse(head + rest)


@repeatable(max_examples=800)
@given(st.data())
def test_files_of_which_bytes_were_changed(data):
    whole = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    # Most that can go wrong is decided by the first bytes.
    places = st.one_of(st.integers(0, min(300, len(whole) - 1)), st.integers(0, len(whole) - 1))
    values = st.one_of(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)), st.integers(0, 255))
    for place, value in data.draw(st.lists(st.tuples(places, values), min_size=1, max_size=8)):
        whole[place] = value
    decode_or_refuse(bytes(whole))


@repeatable(max_examples=300)
@given(st.data())
def test_files_of_which_a_number_in_the_head_was_changed(data):
    whole = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    width, order = data.draw(st.sampled_from((2, 4, 8))), data.draw(st.sampled_from(("big", "little")))
    limits = st.sampled_from((0, 1, 2**15, 2**16, 2**31, 2**32, 2**63, 2**64))
    number = st.one_of(st.integers(0, 256**width - 1), limits.map(lambda limit: max(0, min(limit, 256**width) - 1)))
    for place in data.draw(st.lists(st.integers(0, min(200, len(whole) - 8)), min_size=1, max_size=3)):
        whole[place : place + width] = data.draw(number).to_bytes(width, order)
    decode_or_refuse(bytes(whole))


@repeatable(max_examples=300)
@given(st.data())
def test_files_cut_spliced_and_repeated(data):
    names = st.sampled_from(sorted(SAMPLES))
    pieces = io.BytesIO()
    for name in data.draw(st.lists(names, min_size=1, max_size=3)):
        whole = SAMPLES[name]
        begin = data.draw(st.one_of(st.just(0), st.integers(0, len(whole))))
        end = data.draw(st.one_of(st.just(len(whole)), st.integers(begin, len(whole))))
        pieces.write(whole[begin:end] * data.draw(st.sampled_from((1, 1, 2))))
    decode_or_refuse(pieces.getvalue())
