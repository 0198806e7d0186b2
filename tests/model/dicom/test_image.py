import logging
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from model.classifier import Classifier
from model.decoding import decode_image
from model.dicom.acquisition import NOT_MR, NOT_T1
from model.dicom.grey import NO_WINDOW
from model.dicom.image import describe_frame
from model.errors import InputError, TruncatedImageError, UnknownFrameError, UnsupportedPixelsError
from tests.samples.corpus import GREY, RGB, repeat
from tests.samples.dicoms import (
    FULL_WINDOW,
    PATIENT,
    bundled_files,
    encode_frames,
    make_dataset,
    make_dicom,
    write_dataset,
)
from tests.samples.phantoms import encode

BUNDLED = bundled_files()
MR = [name for name in BUNDLED if "MR" in name]
FRAMES = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])


def make_frames(**tags) -> bytes:
    return make_dicom(GREY, raw=FRAMES.tobytes(), NumberOfFrames=3, **{**FULL_WINDOW, **tags})


@pytest.fixture(scope="module")
def classifier(tiny_pair) -> Classifier:
    return Classifier.load(tiny_pair[1])


def test_a_fitting_image_with_a_window_gives_no_warning():
    decoded = decode_image(make_dicom(GREY, **FULL_WINDOW))
    assert (decoded.format, decoded.frame, decoded.num_frames, decoded.warnings) == ("DICOM", 1, 1, ())
    assert np.array_equal(decoded.image, repeat(GREY))


def test_the_middle_frame_is_used_with_a_warning():
    decoded = decode_image(make_frames())
    assert np.array_equal(decoded.image, repeat(FRAMES[1]))
    assert (decoded.frame, decoded.num_frames) == (2, 3)
    assert decoded.warnings == ("the file holds 3 frames; the middle one was used",)


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_a_frame_is_chosen(frame):
    decoded = decode_image(make_frames(), frame=frame)
    assert np.array_equal(decoded.image, repeat(FRAMES[frame - 1]))
    assert (decoded.frame, decoded.warnings) == (frame, ())


@pytest.mark.parametrize("frame", [0, 4, -1])
def test_a_frame_that_is_not_there_is_refused(frame):
    with pytest.raises(UnknownFrameError, match="from 1 to 3"):
        decode_image(make_frames(), frame=frame)


def test_other_formats_ignore_the_frame_with_a_warning():
    assert "only DICOM" in decode_image(encode(RGB), frame=2).warnings[0]


def test_functional_groups_of_the_frame_win_over_shared_ones_and_those_over_the_data_set():
    scan = make_dataset()
    scan.Rows, scan.Columns, scan.NumberOfFrames, scan.HighBit = *GREY.shape, 3, 7
    scan.PixelData = FRAMES.tobytes()
    scan.WindowCenter, scan.WindowWidth = 10, 20
    scan.SharedFunctionalGroupsSequence = [create_groups(FULL_WINDOW, echo=90.0)]
    frames = [create_groups(window) for window in ({}, {"WindowCenter": 64.0, "WindowWidth": 128.0}, {})]
    scan.PerFrameFunctionalGroupsSequence = frames
    data = write_dataset(scan, UID("1.2.840.10008.1.2.1"))
    assert np.array_equal(decode_image(data, frame=1).image, repeat(FRAMES[0]))
    doubled = np.rint(np.clip((FRAMES[1].astype(float) - 63.5) / 127 + 0.5, 0, 1) * 255)
    assert np.array_equal(decode_image(data, frame=2).image, repeat(doubled))
    assert decode_image(data, frame=1).warnings == (NOT_T1,)
    assert describe_frame(scan, 5).WindowWidth == 256


def create_groups(window: dict[str, float], echo: float | None = None) -> Dataset:
    groups, voi, timing = Dataset(), Dataset(), Dataset()
    for name, value in window.items():
        setattr(voi, name, value)
    if window:
        groups.FrameVOILUTSequence = [voi]
    if echo is not None:
        timing.EffectiveEchoTime = echo
        groups.MREchoSequence = [timing]
    return groups


def test_bits_that_do_not_count_are_left_out():
    deep = (GREY.astype(np.uint16) << 4) | np.uint16(0xF00F)
    data = make_dicom(deep, BitsStored=8, HighBit=11, **FULL_WINDOW)
    assert np.array_equal(decode_image(data).image, repeat(GREY))


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 100.0, "WindowWidth": 100.0}])
def test_monochrome_1_and_2_of_one_image_give_the_same_probabilities(classifier, window):
    mirrored: dict[str, Any] = {**window, "WindowCenter": 256.0 - 100.0} if window else {}
    first = classifier.predict(make_dicom(GREY, **window))
    second = classifier.predict(make_dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1", **mirrored))
    assert second.probabilities == first.probabilities


def test_a_palette_is_looked_up():
    colors = np.random.default_rng(0).integers(0, 256, (3, 256))
    tags: dict[str, Any] = {}
    for color, entries in zip(("Red", "Green", "Blue"), colors, strict=True):
        tags[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{color}PaletteColorLookupTableData"] = (entries * 257).astype("<u2").tobytes()
    decoded = decode_image(make_dicom(GREY, PhotometricInterpretation="PALETTE COLOR", **tags))
    assert np.array_equal(decoded.image, colors.T[GREY])


@pytest.mark.parametrize("name", ["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_a_compressed_frame_of_another_size_is_refused_before_it_is_decoded(name):
    syntax, frame = encode_frames(GREY.repeat(2, 0))[name]
    with pytest.raises(TruncatedImageError, match="compressed frame"):
        decode_image(make_dicom(GREY, syntax, encapsulate([frame])))


def test_a_transfer_syntax_that_is_not_read_is_named():
    with pytest.raises(UnsupportedPixelsError, match=r"MPEG2 .* \(1\.2\.840\.10008\.1\.2\.4\.100\)"):
        decode_image(make_dicom(GREY, UID("1.2.840.10008.1.2.4.100"), encapsulate([b"ab"])))
    with pytest.raises(UnsupportedPixelsError, match="not a known one"):
        decode_image(make_dicom(GREY).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))


@pytest.mark.parametrize("name", BUNDLED)
def test_every_file_of_pydicom_gives_an_image_or_a_named_error(name, caplog, capfd, classifier):
    try:
        prediction = classifier.predict(BUNDLED[name])
    except InputError as error:
        message = str(error)
    else:
        message = " ".join(prediction.input.warnings)
        assert (NOT_MR in message) == (name not in MR and "overlay" not in name)
    assert not caplog.records
    assert "".join(capfd.readouterr()) == ""
    assert message == "" or message[0].islower() or message.endswith(".")


def test_nothing_of_the_patient_gets_into_messages_or_logs(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for tags in ({}, {"Rows": None}, {"WindowWidth": 0.0, "WindowCenter": 0.0}, {"BodyPartExamined": PATIENT}):
        try:
            message = str(decode_image(make_dicom(GREY, **tags)).warnings)
        except InputError as error:
            message = f"{error}"
        assert "Secret" not in message + caplog.text + "".join(capfd.readouterr())


def test_an_image_without_a_window_gives_a_warning():
    assert decode_image(make_dicom(GREY)).warnings == (NO_WINDOW,)
