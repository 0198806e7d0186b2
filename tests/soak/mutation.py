"""Damage to good images: flipped bits, cuts, splices; in their headers more often than chance would have it."""

import struct
from collections.abc import Callable, Sequence

import numpy as np

from tests.soak.images import write_chunk

_HEADER_BYTES = 64
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
Mutation = Callable[[bytes, bytes, np.random.Generator], bytes]


def mutate(corpus: Sequence[bytes], seed: int, index: int) -> bytes:
    """Make the `index`-th damaged image of a seed: the same arguments give the same bytes.

    Args:
        corpus: Good images.
    """
    generator = np.random.default_rng((seed, index))
    data, other = (corpus[int(number)] for number in generator.integers(len(corpus), size=2))
    for _ in range(generator.integers(1, 4)):
        data = _MUTATIONS[int(generator.integers(len(_MUTATIONS)))](data, other, generator)
    if generator.random() < 0.5:  # else nearly every damaged PNG ends at its first checksum
        data = _mend_checksums(data)
    return data


def _flip_bits(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    return _flip(data, len(data), int(generator.integers(1, 33)), generator)


def _flip_header_bits(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    return _flip(data, _HEADER_BYTES, int(generator.integers(1, 9)), generator)


def _replace_header_bytes(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    """Write 1 to 4 extreme bytes, as sizes and offsets have them, into the header."""
    extreme = int(generator.choice([0x00, 0x01, 0x7F, 0x80, 0xFF]))
    start, length = int(generator.integers(_HEADER_BYTES)), int(generator.integers(1, 5))
    return data[:start] + bytes([extreme] * length) + data[start + length :]


def _truncate(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    return data[: int(generator.integers(len(data) + 1))]


def _remove(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    start, end = _choose_range(data, generator)
    return data[:start] + data[end:]


def _repeat(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    start, end = _choose_range(data, generator)
    return data[:end] + data[start:end] + data[end:]


def _splice(data: bytes, other: bytes, generator: np.random.Generator) -> bytes:
    """Go on with another image, of another format perhaps."""
    return data[: int(generator.integers(len(data) + 1))] + other[int(generator.integers(len(other) + 1)) :]


def _overwrite(data: bytes, _other: bytes, generator: np.random.Generator) -> bytes:
    start, end = _choose_range(data, generator)
    return data[:start] + generator.bytes(end - start) + data[end:]


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_header_bits,
    _replace_header_bytes,
    _truncate,
    _remove,
    _repeat,
    _splice,
    _overwrite,
)


def _flip(data: bytes, num_first: int, num_bits: int, generator: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    end = min(num_first, len(data))
    for place in generator.integers(end, size=num_bits) if end else ():
        damaged[place] ^= 1 << int(generator.integers(8))
    return bytes(damaged)


def _choose_range(data: bytes, generator: np.random.Generator) -> tuple[int, int]:
    """Choose a start and an end at most 256 bytes apart."""
    start = int(generator.integers(len(data) + 1))
    return start, min(len(data), start + int(generator.integers(1, 257)))


def _mend_checksums(data: bytes) -> bytes:
    """Give every chunk of a PNG, as far as they can be followed, the checksum of what it holds now."""
    if not data.startswith(_SIGNATURE):
        return data
    mended, place = _SIGNATURE, len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        if end > len(data):
            break
        mended += write_chunk(data[place + 4 : place + 8], data[place + 8 : end - 4])
        place = end
    return mended + data[place:]
