"""Strips of a TIFF file that end early, where libtiff paints over what is missing and says nothing."""

import io
import itertools
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.images.decoded import ImageArray
from model.images.jpeg import load_jpeg
from model.images.tiff_tags import COMPRESSION, FILL_ORDER, JPEG_TABLES, LENGTH, TiffTags

_FAX_3, _FAX_4, _JPEG = 3, 4, 7
_LINE_END = b"\0" * 11 + b"\1"  # a bit a byte
_MAX_PICTURES = 1024  # strips and tiles to decode once more
_NOTE = "the compressed data may end early; missing rows are blank"


def find_gaps(tags: TiffTags) -> tuple[str, ...]:
    """Look for data that end early, in the compressions of which libtiff does not say so.

    Returns:
        A warning if data in fax coding lack the marks that writers set: some leave them out.

    Raises:
        OSError: If a strip or tile in JPEG ends early; the first 1,024 are looked at.
    """
    compression = tags.number(COMPRESSION, 1)
    if compression == _JPEG:
        tables, _, _ = bytes(tags.directory.get(JPEG_TABLES, b"")).rpartition(b"\xff\xd9")
        for strip in itertools.islice(_strips(tags), _MAX_PICTURES):
            data = tables + strip[2:] if tables else strip
            with suppress(UnidentifiedImageError):  # such as two samples a pixel, which Pillow reads in TIFF alone
                load_jpeg(Image.open(io.BytesIO(data), formats=("JPEG",)), data)
    elif compression == _FAX_3:
        num_lines = sum(_read_bits(strip, tags).count(_LINE_END) for strip in _strips(tags))
        return (_NOTE,) if num_lines < tags.number(LENGTH) else ()
    elif compression == _FAX_4:
        ends = (_read_bits(strip.rstrip(b"\0")[-5:], tags) for strip in _strips(tags))
        return () if all(2 * _LINE_END in bits + b"\0" * 11 for bits in ends) else (_NOTE,)
    return ()


def _read_bits(data: bytes, tags: TiffTags) -> bytes:
    """Read bits, a byte each."""
    is_reversed = tags.number(FILL_ORDER, 1) == 2
    bits: ImageArray = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little" if is_reversed else "big")
    return bits.tobytes()


def _strips(tags: TiffTags) -> Iterator[bytes]:
    return (tags.data[start : start + size] for start, size in tags.places)
