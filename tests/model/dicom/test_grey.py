"""Held against pydicom's own functions, and against values worked out by hand from PS3.3 C.11."""

import numpy as np
import pydicom.config
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

from model.dicom.grey import (
    NO_WINDOW,
    UNUSABLE_PADDING,
    UNUSABLE_RESCALE,
    UNUSABLE_TABLE,
    UNUSABLE_WINDOW,
    apply_modality,
    apply_voi,
    apply_window,
    find_percentiles,
    render_grey,
)
from model.dicom.lookup_table import read_table
from model.dicom.pixel_layout import PixelLayout
from model.errors import TruncatedImageError

VALUES = np.arange(-2048, 2048, dtype=np.float64)
COUNTS = np.ones(len(VALUES), np.int64)


def create_frame(**tags) -> Dataset:
    frame = Dataset()
    values = {"PhotometricInterpretation": "MONOCHROME2", "BitsStored": 12, "PixelRepresentation": 1, **tags}
    with pydicom.config.disable_value_validation():
        for name, value in values.items():
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


PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16))


def render(pixels=PIXELS, layout=None, **tags):
    with np.errstate(all="ignore"):
        return render_grey(pixels, create_frame(**tags), layout or create_layout())


@pytest.mark.parametrize("slope", [float("inf"), float("nan"), 0.0, 1e308, b"x"])
def test_rescale_values_that_are_not_usable_are_passed_over_with_a_warning(slope):
    frame = create_frame(WindowCenter=1, WindowWidth=2)
    frame.add_new("RescaleSlope", "OB" if isinstance(slope, bytes) else "FD", slope)
    with np.errstate(all="ignore"):
        grey, notes = render_grey(PIXELS, frame, create_layout())
    assert np.array_equal(grey, render()[0])
    assert notes == (UNUSABLE_RESCALE,)


@pytest.mark.parametrize("table", [create_table(0, [7] * 256), create_table(0, [1, 2], 99), Dataset()])
def test_a_modality_table_that_is_not_usable_is_passed_over_with_a_warning(table):
    grey, notes = render(ModalityLUTSequence=[table])
    assert np.array_equal(grey, render()[0])
    assert notes == (UNUSABLE_RESCALE,)


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        *((100, width, "LINEAR") for width in (0, 0.5, -300, np.nan, -np.inf, 1e308)),
        *((center, 300, "LINEAR") for center in (np.nan, np.inf, -5000, 5000)),
        *((100, 0, "LINEAR_EXACT"), (100, -1, "SIGMOID"), (100, 300, "PARABOLIC")),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_is_not_usable_is_as_good_as_none_with_a_warning(center, width, function, photometric):
    frame = create_frame(VOILUTFunction=function)
    frame.add_new("WindowCenter", "FD", center)
    frame.add_new("WindowWidth", "FD", width)
    layout = create_layout(photometric)
    with np.errstate(all="ignore"):
        grey, notes = render_grey(PIXELS, frame, layout)
    assert np.array_equal(grey, render(layout=layout)[0])
    assert notes == (UNUSABLE_WINDOW,)


@pytest.mark.parametrize("function", ["linear", "Linear_Exact", " sigmoid", "linear exact"])
def test_the_function_of_a_window_is_read_in_small_letters(function):
    window = {"WindowCenter": 100, "WindowWidth": 80}
    grey, notes = render(**window, VOILUTFunction=function)
    expected, _ = render(**window, VOILUTFunction=function.strip().upper().replace(" ", "_"))
    assert np.array_equal(grey, expected)
    assert notes == ()


@pytest.mark.parametrize("table", [create_table(0, [7] * 256), create_table(0, [1, 2], 0), Dataset()])
def test_a_voi_table_that_is_not_usable_gives_way_to_the_window_with_a_warning(table):
    window = {"WindowCenter": 100, "WindowWidth": 80}
    grey, notes = render(VOILUTSequence=[table], **window)
    assert np.array_equal(grey, render(**window)[0])
    assert notes == (UNUSABLE_TABLE,)
    grey, notes = render(VOILUTSequence=[table], WindowCenter=100, WindowWidth=0)
    assert np.array_equal(grey, render()[0])
    assert notes == (UNUSABLE_TABLE, UNUSABLE_WINDOW)


@pytest.mark.parametrize("num_bits", [12, 16])
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("kind", ["US", "SS"])
@pytest.mark.parametrize("limit", [None, 6])
def test_padding_is_found_whatever_the_type_of_its_value(num_bits, is_signed, kind, limit):
    layout = create_layout(bits_stored=num_bits, high_bit=num_bits - 1, is_signed=is_signed)
    padding = -(1 << (num_bits - 1)) if is_signed else (1 << num_bits) - 10
    pixels = np.random.default_rng(0).integers(0, 200, (16, 16))
    pixels[:4] = padding
    pixels[4:6] = padding + (limit or 0)
    frame = create_frame(WindowCenter=100, WindowWidth=300)
    for keyword, value in (("PixelPaddingValue", padding), ("PixelPaddingRangeLimit", limit and padding + limit)):
        if value is not None:  # in 16 bits of the other sign
            frame.add_new(keyword, kind, value % 2**16 if kind == "US" else (value + 2**15) % 2**16 - 2**15)
    grey, notes = render_grey(pixels, frame, layout)
    alone, _ = render(np.clip(pixels, 0, 200), layout, WindowCenter=100, WindowWidth=300)
    assert not grey[: 6 if limit else 4].any()
    assert np.array_equal(grey[6:], alone[6:])
    assert notes == ()


@pytest.mark.parametrize(
    "padding", [{"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 255}, {"PixelPaddingValue": b"none"}]
)
def test_padding_that_is_not_usable_is_passed_over_with_a_warning(padding):
    frame = create_frame()
    for keyword, value in padding.items():
        frame.add_new(keyword, "OB" if isinstance(value, bytes) else "US", value)
    grey, notes = render_grey(PIXELS, frame, create_layout())
    assert np.array_equal(grey, render()[0])
    assert notes == (UNUSABLE_PADDING, NO_WINDOW)


@pytest.mark.parametrize("num_entries", [2, 101, 255, 256])
@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("num_bytes", [1, 2])
def test_a_table_of_bytes_is_read_in_either_byte_order(num_entries, is_little_endian, num_bytes):
    entries = np.random.default_rng(1).integers(0, 256, num_entries)
    packed = entries.astype(np.uint8).tobytes() + b"\0" * (num_entries % 2)  # two in a word, the first in its low byte
    words = np.frombuffer(packed, "<u2") if num_bytes == 1 else entries.astype(np.uint16)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [num_entries, 0, 8])
    item.add_new("LUTData", "OW", words.astype("<u2" if is_little_endian else ">u2").tobytes())
    item.set_original_encoding(False, is_little_endian)
    assert np.array_equal(read_table(item, False)[0], entries)
