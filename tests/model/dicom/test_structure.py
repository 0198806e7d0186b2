import struct

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from model.dicom.structure import MAX_DEPTH, MAX_READ_ELEMENTS, split_dicom
from model.errors import TruncatedImageError
from model.images.signature import is_dicom
from tests.samples.corpus import GREY, odd_cases, ordinary_cases
from tests.samples.dicoms import make_dicom

PLAIN = make_dicom(GREY)
NESTED = 0x00081140
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
    assert (file.is_explicit, file.is_little_endian) == (not syntax.is_implicit_VR, syntax.is_little_endian)
    assert GREY.tobytes() in file.body


@pytest.mark.parametrize("build", [nest, nest_implicitly])
def test_sequences_that_are_read_may_be_nested_only_so_deep(build):
    split_dicom(PLAIN[:BODY] + build(MAX_DEPTH)).cut_elements([NESTED])
    with pytest.raises(TruncatedImageError, match="16 deep"):
        split_dicom(PLAIN[:BODY] + build(MAX_DEPTH + 1)).cut_elements([NESTED])


def test_there_may_be_only_so_many_elements(monkeypatch):
    monkeypatch.setattr("model.dicom.structure.MAX_ELEMENTS", 1000)
    element = struct.pack("<HH2sH", 9, 0x10, b"LO", 0)
    split_dicom(PLAIN[:BODY] + element * 1000)
    with pytest.raises(TruncatedImageError, match="1,000 elements"):
        split_dicom(PLAIN[:BODY] + element * 1001)


def test_elements_of_a_sequence_count_only_where_it_is_read():
    empty = struct.pack("<HHI", 9, 0x10, 0)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 8 * MAX_READ_ELEMENTS) + empty * MAX_READ_ELEMENTS
    file = split_dicom(PLAIN[:BODY] + struct.pack("<HHI", 8, 0x1140, len(items)) + items)
    assert file.cut_elements([0x00080008]) == b""
    with pytest.raises(TruncatedImageError, match="131,072 elements"):
        file.cut_elements([NESTED])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("has_meta", [True, False])
def test_a_file_without_preamble_is_the_same_file(syntax, has_meta):
    whole = make_dicom(GREY, syntax)
    bare = whole[132:] if has_meta else whole[144 + int.from_bytes(whole[140:144], "little") :]
    assert is_dicom(bare)
    assert split_dicom(bare) == split_dicom(whole)


def test_other_formats_are_no_dicom_without_preamble():
    cases = [*ordinary_cases(), *odd_cases()]
    assert not [case.name for case in cases if is_dicom(case.data)]
