"""The signature of DICOM files."""

import re

_MAGIC, _MAGIC_AT = b"DICM", 128
MAGIC_END = _MAGIC_AT + len(_MAGIC)  # a reader needs this many bytes to recognise the file

# The first element of a file without preamble, of the meta information or a group of identification, in either byte
# order: with its type, or without one, and then short and before another of these groups or of the image's.
_TYPES = b"AE|AS|CS|DA|DS|DT|IS|LO|LT|OB|PN|SH|SQ|ST|TM|UI|UL|UN|US|UT"
_EXPLICIT = re.compile(rb"(?:[\x02\x08\x10]\0..|\0[\x02\x08\x10]..)(?:%b)" % _TYPES, re.DOTALL)
_IMPLICIT = re.compile(rb"[\x08\x10]\0..[\0-\x7e]\0\0\0", re.DOTALL)
_NEXT_GROUPS = (0x08, 0x10, 0x18, 0x20, 0x28)


def is_dicom(data: bytes) -> bool:
    """True if the bytes begin a DICOM file, with or without the preamble of Part 10."""
    return has_preamble(data) or _EXPLICIT.match(data) is not None or _begins_without_types(data)


def has_preamble(data: bytes) -> bool:
    """True if the bytes begin a DICOM Part 10 file."""
    return data[_MAGIC_AT:MAGIC_END] == _MAGIC


def _begins_without_types(data: bytes) -> bool:
    behind = 8 + data[4] if _IMPLICIT.match(data) else len(data)
    (group, element), (next_group, next_element) = (
        (int.from_bytes(tag[:2], "little"), int.from_bytes(tag[2:], "little"))
        for tag in (data[:4], data[behind : behind + 4])
    )
    return behind % 2 == 0 and next_group in _NEXT_GROUPS and (group, element) < (next_group, next_element)
