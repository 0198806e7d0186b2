"""Held against pydicom's own functions, and against values worked out by hand from PS3.3 C.11."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

from model.dicom.grey import NO_WINDOW, apply_modality, apply_voi, apply_window, find_percentiles, render_grey
from model.dicom.pixels import PixelLayout
from model.errors import TruncatedImageError

VALUES = np.arange(-2048, 2048, dtype=np.float64)
COUNTS = np.ones(len(VALUES), np.int64)


def create_frame(**tags) -> Dataset:
    frame = Dataset()
    for name, value in {
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsStored": 12,
        "PixelRepresentation": 1,
        **tags,
    }.items():
        setattr(frame, name, value)
    return frame


def create_table(first, entries, num_bits=16) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [len(entries), first, num_bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def create_layout(photometric="MONOCHROME2", **changes) -> PixelLayout:
    fields = {"bits_allocated": 16, "bits_stored": 8, "high_bit": 7, "is_signed": False, "is_planar": False}
    return PixelLayout(16, 16, 1, 1, photometric, **{**fields, **changes})


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2.5, -1024), (0.01, 3), (-1, 4095)])
def test_slope_and_intercept_are_applied_as_pydicom_does(slope, intercept):
    frame = create_frame(RescaleSlope=slope, RescaleIntercept=intercept)
    assert np.allclose(apply_modality(VALUES, frame), apply_modality_lut(VALUES, frame))


def test_a_modality_table_is_applied_as_pydicom_does():
    frame = create_frame(ModalityLUTSequence=[create_table(-100, np.arange(300) * 7 % 999)])
    assert np.array_equal(apply_modality(VALUES, frame), apply_modality_lut(VALUES.astype(np.int16), frame))


def test_a_voi_table_is_applied_as_pydicom_does():
    table = create_table(-50, np.linspace(0, 4095, 120).astype(int), 12)
    shown, notes = apply_voi(VALUES, COUNTS, create_frame(VOILUTSequence=[table], WindowCenter=1, WindowWidth=2))
    expected = apply_voi_lut(VALUES.astype(np.int16), create_frame(VOILUTSequence=[table]))
    assert np.allclose(shown * 4095, expected)
    assert notes == ()


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(0, 4096), (40, 400), (-600.5, 1500), (100, 2)])
def test_windows_are_applied_as_pydicom_does(function, center, width):
    frame = create_frame(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    with np.errstate(over="ignore"):
        expected = apply_windowing(VALUES, frame)
    low, high = -2048.0, 2047.0
    assert np.allclose(apply_window(VALUES, center, width, function), (expected - low) / (high - low))


def test_windows_have_the_values_of_the_standard():
    # The notes of C.11.2.1.2.1: c=2048, w=4096 is the identity for 0 to 4095; w=1 is a threshold at c - 0.5.
    values = np.array([-5.0, 0, 1, 2047, 2048, 4095, 5000])
    assert np.allclose(apply_window(values, 2048, 4096, "LINEAR") * 4095, [0, 0, 1, 2047, 2048, 4095, 4095])
    assert apply_window(np.array([99.0, 99.5, 100]), 100, 1, "LINEAR").tolist() == [0, 0, 1]
    # C.11.2.1.3.2: ((x - c) / w + 0.5); C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w)).
    assert apply_window(np.array([0.0, 25, 50, 100]), 50, 100, "LINEAR_EXACT").tolist() == [0, 0.25, 0.5, 1]
    assert np.allclose(apply_window(np.array([50.0, 75]), 50, 100, "SIGMOID"), [0.5, 1 / (1 + np.exp(-1))])


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (0, 0, "LINEAR"),
        (0, 0.5, "LINEAR"),
        (0, 0, "SIGMOID"),
        (0, -1, "LINEAR_EXACT"),
        (np.nan, 9, "LINEAR"),
        (0, 9, "X"),
    ],
)
def test_windows_that_the_standard_does_not_allow_are_refused(center, width, function):
    with pytest.raises(TruncatedImageError):
        apply_window(VALUES, center, width, function)


def test_without_a_window_the_outer_hundredths_are_cut_with_a_warning():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16))
    grey, notes = render_grey(pixels, create_frame(), create_layout())
    low = np.percentile(pixels, 1, method="inverted_cdf")
    high = 255 - np.percentile(255 - pixels, 1, method="inverted_cdf")
    assert np.array_equal(grey, np.rint(np.clip((pixels - low) / (high - low), 0, 1) * 255))
    assert notes == (NO_WINDOW,)


def test_the_window_that_is_found_ignores_padding_which_becomes_black():
    pixels = np.random.default_rng(0).integers(50, 200, (16, 16))
    padded = pixels.copy()
    padded[:4] = 255
    grey, _ = render_grey(padded, create_frame(PixelPaddingValue=255), create_layout("MONOCHROME1"))
    alone, _ = render_grey(pixels[4:], create_frame(), create_layout("MONOCHROME1"))
    assert not grey[:4].any()
    assert np.array_equal(grey[4:], alone)


def test_a_few_bright_pixels_on_black_are_still_shown():
    counts = np.array([9_990, 0, 0, 10])
    assert find_percentiles(np.arange(4.0), counts) == (0, 3)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 100, "WindowWidth": 120}])
def test_the_inverted_image_of_monochrome_1_looks_the_same(window):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16))
    mirrored = {"WindowCenter": 256 - 100, "WindowWidth": 120} if window else {}
    grey, _ = render_grey(pixels, create_frame(**window), create_layout())
    inverted, _ = render_grey(255 - pixels, create_frame(**mirrored), create_layout("MONOCHROME1"))
    assert np.array_equal(grey, inverted)
    shape = create_frame(**mirrored, PresentationLUTShape="INVERSE")
    assert np.array_equal(grey, render_grey(255 - pixels, shape, create_layout())[0])
    assert np.array_equal(grey, render_grey(255 - pixels, shape, create_layout("MONOCHROME1"))[0])


@pytest.mark.parametrize("slope", [float("inf"), float("nan")])
def test_rescale_values_that_are_not_finite_are_refused(slope):
    frame = Dataset()
    frame.add_new("RescaleSlope", "FD", slope)
    with np.errstate(all="ignore"), pytest.raises(TruncatedImageError):
        render_grey(np.arange(256).reshape(16, 16), frame, create_layout())
