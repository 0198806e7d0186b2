import pydicom.config
import pytest
from pydicom.dataset import Dataset

from model.dicom.acquisition import (
    NO_CONTRAST,
    NOT_HEAD,
    NOT_MR,
    NOT_T1,
    OBLIQUE,
    TURNED,
    describe_misfits,
    find_kind,
    find_plane,
)

FITTING = {"Modality": "MR", "BodyPartExamined": "BRAIN", "ContrastBolusAgent": "yes", "EchoTime": 10.0}
AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]


def create_frame(**tags):
    frame = Dataset()
    with pydicom.config.disable_value_validation():
        for name, value in {**FITTING, "ImageOrientationPatient": AXIAL, **tags}.items():
            setattr(frame, name, value)
    return frame


def describe(**tags):
    return describe_misfits(create_frame(**tags))


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, [0.97, 0.26, 0, -0.26, 0.97, 0]])
def test_an_image_like_the_training_data_gives_no_warning(orientation):
    assert describe(ImageOrientationPatient=orientation) == ()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"Modality": "CT"}, NOT_MR),
        ({"BodyPartExamined": "KNEE"}, NOT_HEAD),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.7071, 0.7071]}, OBLIQUE),
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, TURNED),
        ({"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]}, TURNED),
        ({"EchoTime": 95.0}, NOT_T1),
        ({"AcquisitionContrast": "FLAIR"}, NOT_T1),
        ({"ContrastBolusAgent": ""}, NO_CONTRAST),
    ],
)
def test_each_misfit_gives_its_warning(tags, expected):
    assert describe(**tags) == (expected,)


@pytest.mark.parametrize(
    "part",
    [
        *("HEAD", "BRAIN", "BRAINSTEM", "IAC", "ORBIT", "HEAD AND NECK", "HEADNECK", "HEAD_NECK", "head", "CABEZA"),
        *("Schädel", "TÊTE", "BRAIN W/O", "HEAD^ROUTINE", "CIRCLE OF WILLIS", "SELLA TURCICA", ""),
    ],
)
def test_the_head_is_known_by_its_names(part):
    assert describe(BodyPartExamined=part) == ()


@pytest.mark.parametrize("part", ["KNEE", "FEMORAL HEAD", "NECK", "CSPINE", "ABDOMEN", "BREAST", "HAND", "PROSTATE"])
def test_other_parts_are_not_the_head(part):
    assert describe(BodyPartExamined=part) == (NOT_HEAD,)


@pytest.mark.parametrize("orientation", [[*"abcdef"], [1.0, 0.0]])
def test_an_orientation_that_is_no_numbers_gives_no_warning(orientation):
    frame = Dataset()
    frame.Modality, frame.ContrastBolusAgent = "MR", "yes"
    frame.add_new("ImageOrientationPatient", "LO" if len(orientation) == 6 else "FD", orientation)
    assert describe_misfits(frame) == ()


def test_missing_attributes_give_no_warning():
    frame = Dataset()
    frame.Modality, frame.ContrastBolusAgent = "MR", "yes"
    assert describe_misfits(frame) == ()


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [(AXIAL, "axial"), (CORONAL, "coronal"), (SAGITTAL, "sagittal"), ([1, 0, 0, 1, 0, 0], None), ([0] * 6, None)],
)
def test_the_plane_is_that_of_the_normal(orientation, plane):
    assert find_plane(orientation) == plane


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({}, "contrast_t1"),
        ({"Modality": "CT"}, "not_head_mr"),
        ({"BodyPartExamined": "KNEE"}, "not_head_mr"),
        ({"EchoTime": 95.0}, "other_mr"),
        ({"AcquisitionContrast": "FLAIR"}, "other_mr"),
        ({"ContrastBolusAgent": ""}, None),
        ({"Modality": "OT", "ContrastBolusAgent": ""}, None),
    ],
)
def test_the_header_states_the_kind_of_picture_or_leaves_it_open(tags, kind):
    assert find_kind(create_frame(**tags)) == kind
