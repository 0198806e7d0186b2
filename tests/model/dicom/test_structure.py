import struct

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from model.dicom.structure import MAX_DEPTH, MAX_ELEMENTS, split_dicom
from model.errors import TruncatedImageError
from model.images.signature import is_dicom
from tests.samples.corpus import GREY
from tests.samples.dicoms import make_dicom

PLAIN = make_dicom(GREY)
BODY = 144 + int.from_bytes(PLAIN[140:144], "little")


def nest(depth: int) -> bytes:
    open_item = struct.pack("<HH2sHIHHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    close_item = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return open_item * depth + close_item * depth


def nest_implicitly(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data
        data = struct.pack("<HHI", 8, 0x1140, len(item)) + item
    return data


def test_dicom_is_recognised_by_its_bytes():
    assert is_dicom(PLAIN)
    assert not any(map(is_dicom, (b"", PLAIN[:131], PLAIN[1:])))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_the_transfer_syntax_and_the_data_set_are_found(syntax):
    file = split_dicom(make_dicom(GREY, syntax))
    assert file.transfer_syntax == syntax
    assert (file.is_implicit, file.is_little_endian) == (syntax.is_implicit_VR, syntax.is_little_endian)
    assert GREY.tobytes() in file.body


@pytest.mark.parametrize("build", [nest, nest_implicitly])
def test_sequences_may_be_nested_only_so_deep(build):
    split_dicom(PLAIN[:BODY] + build(MAX_DEPTH))
    with pytest.raises(TruncatedImageError, match="deeper"):
        split_dicom(PLAIN[:BODY] + build(MAX_DEPTH + 1))


def test_there_may_be_only_so_many_elements():
    element = struct.pack("<HH2sH", 9, 0x10, b"LO", 0)
    split_dicom(PLAIN[:BODY] + element * MAX_ELEMENTS)
    with pytest.raises(TruncatedImageError, match="elements"):
        split_dicom(PLAIN[:BODY] + element * (MAX_ELEMENTS + 1))
