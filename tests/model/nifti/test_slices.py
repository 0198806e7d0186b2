from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from model.errors import UnknownFrameError
from model.nifti.slices import SliceChoice, is_volume, parse_slices


@pytest.mark.parametrize(
    ("text", "expected"),
    [("axial:middle", [5]), ("coronal:0", [0]), ("sagittal:9", [9]), ("axial:all", list(range(10)))],
)
def test_a_choice_names_slices(text, expected):
    choice = parse_slices(text)
    assert str(choice) == text
    assert list(choice.indices(10)) == expected


@pytest.mark.parametrize("text", ["", "axial", "axial:", "axial:-1", "oblique:3", "axial:last", "axial:²"])
def test_another_text_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="axial, coronal or sagittal"):
        parse_slices(text)


def test_a_slice_that_is_not_there_is_refused():
    with pytest.raises(UnknownFrameError, match="from 0 to 9"):
        SliceChoice("axial", "10").indices(10)


@pytest.mark.parametrize(("name", "expected"), [("a.nii", True), ("a.NII.GZ", True), ("a.gz", False), ("nii", False)])
def test_a_volume_is_recognised_by_its_name(name, expected):
    assert is_volume(Path(name)) == expected
