import io
import logging
import re
import struct
from typing import Any

import jpeg_ls
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from model.classifier import Classifier
from model.decoding import decode_image
from model.dicom import reading
from model.dicom.acquisition import NOT_MR, NOT_T1
from model.dicom.grey import NO_WINDOW, UNUSABLE_RESCALE, UNUSABLE_WINDOW
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
    data = write_dataset(scan, ExplicitVRLittleEndian)
    assert np.array_equal(decode_image(data, frame=1).image, repeat(FRAMES[0]))
    doubled = np.rint(np.clip((FRAMES[1].astype(float) - 63.5) / 127 + 0.5, 0, 1) * 255)
    assert np.array_equal(decode_image(data, frame=2).image, repeat(doubled))
    assert decode_image(data, frame=1).warnings == (NOT_T1,)
    scan.PerFrameFunctionalGroupsSequence = frames[:2]
    assert np.array_equal(decode_image(write_dataset(scan, ExplicitVRLittleEndian), frame=3).image, repeat(FRAMES[2]))


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


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("has_lengths", [True, False])
def test_a_frame_of_2000_is_read_without_the_others(syntax, has_lengths, monkeypatch):
    num_frames, is_implicit = 2000, syntax == ImplicitVRLittleEndian
    item = Dataset()
    for number in range(150):
        item.add_new((0x0019, 0x1000 + number), "LO", "x")
    plain, windowed = (encode_item(item, is_implicit, has_lengths, window) for window in (None, 128.0))
    items = plain * (num_frames - 1) + windowed
    length = struct.pack("<I", len(items) if has_lengths else 0xFFFFFFFF)
    groups = struct.pack("<HH", 0x5200, 0x9230) + (b"" if is_implicit else b"SQ\0\0") + length + items
    groups += b"" if has_lengths else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    small = GREY[:32, :32]
    data = make_dicom(small, syntax, small.tobytes() * num_frames, NumberOfFrames=num_frames, **FULL_WINDOW)
    place = data.index(struct.pack("<HH", 0x7FE0, 0x0010))
    data = data[:place] + groups + data[place:]
    sizes = []

    def read(file: io.BytesIO, is_implicit: bool, is_little_endian: bool) -> Dataset:
        sizes.append(len(file.getvalue()))
        return read_dataset(file, is_implicit, is_little_endian)

    monkeypatch.setattr(reading, "read_dataset", read)
    assert np.array_equal(decode_image(data).image, repeat(small))
    doubled = np.rint(np.clip((small.astype(float) - 63.5) / 127 + 0.5, 0, 1) * 255)
    assert np.array_equal(decode_image(data, frame=num_frames).image, repeat(doubled))
    assert len(windowed) < sum(sizes) < 4 * len(windowed)


def encode_item(groups: Dataset, is_implicit: bool, has_lengths: bool, width: float | None) -> bytes:
    window, item = Dataset(), Dataset()
    item.update(groups)
    if width:
        window.WindowCenter, window.WindowWidth = width / 2, width
        item.FrameVOILUTSequence = [window]
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = is_implicit, True
    pydicom.filewriter.write_dataset(buffer, item)
    body = buffer.getvalue()
    head = struct.pack("<HHI", 0xFFFE, 0xE000, len(body) if has_lengths else 0xFFFFFFFF)
    return head + body + (b"" if has_lengths else struct.pack("<HHI", 0xFFFE, 0xE00D, 0))


def test_one_attribute_that_is_not_usable_refuses_no_pixels():
    window: dict[str, Any] = {"WindowCenter": 12345, "WindowWidth": 54321, "RescaleSlope": 1.234}
    whole = make_dicom(GREY, **window, EchoTime=99911, PixelPaddingValue=0)
    rubbish = (b"wide", b"1\\2 ", b"\\\\\\\\", b"\0\0\0\0", b"\xff\xff\xff\xff", b"1e99", b"nan ", b"-inf")
    for place in (b"1234", b"5432", b"9991", b"1.23", b"1\\0\\"):
        for value in rubbish:
            assert decode_image(whole.replace(place, value)).image.shape == (*GREY.shape, 3)
    assert UNUSABLE_WINDOW in decode_image(whole.replace(b"5432", b"wide")).warnings
    assert UNUSABLE_RESCALE in decode_image(whole.replace(b"1.23", b"high")).warnings


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


@pytest.mark.parametrize("num_bits", [8, 16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_segmented_palette_is_looked_up_as_pydicom_does(num_bits, syntax):
    tags: dict[str, Any] = {}
    for number, color in enumerate(("Red", "Green", "Blue")):
        full = 2**num_bits - 1
        segments = [0, 3, 5, number, full, 1, 200, full // 3, 0, 2, full, 9, 1, 51, number]
        kind = "<u1" if num_bits == 8 else (">u2" if syntax == ExplicitVRBigEndian else "<u2")
        packed = np.array(segments, kind).tobytes()
        packed += b"\0" * (len(packed) % 2)
        swap = num_bits == 8 and syntax == ExplicitVRBigEndian
        tags[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, num_bits]
        tags[f"Segmented{color}PaletteColorLookupTableData"] = (
            np.frombuffer(packed, "<u2").astype(">u2").tobytes() if swap else packed
        )
        tags[f"expected{color}"] = packed
    expected_tags = {name: tags.pop(name) for name in list(tags) if name.startswith("expected")}
    data = make_dicom(GREY, syntax, PhotometricInterpretation="PALETTE COLOR", **tags)
    reference = pydicom.dcmread(io.BytesIO(data))
    for color in ("Red", "Green", "Blue"):
        reference[f"Segmented{color}PaletteColorLookupTableData"].value = expected_tags[f"expected{color}"]
    expected = apply_color_lut(GREY, reference)
    assert np.array_equal(decode_image(data).image, np.rint(expected * (255 / (2**num_bits - 1))))


def test_a_palette_that_is_not_read_is_named():
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        tags[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"Segmented{color}PaletteColorLookupTableData"] = np.array([0, 1, 7, 2, 1, 0, 0], "<u2").tobytes()
    with pytest.raises(UnsupportedPixelsError, match="segments"):
        decode_image(make_dicom(GREY, **tags))
    with pytest.raises(TruncatedImageError, match="lookup table"):
        decode_image(make_dicom(GREY, PhotometricInterpretation="PALETTE COLOR"))


@pytest.mark.parametrize("kind", ["OB", "OW"])
@pytest.mark.parametrize("shape", [(3, 48, 64), (3, 33, 35), (2, 33, 35, 3)])
def test_eight_bits_in_big_endian_words_are_read_as_pydicom_does(kind, shape):
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    stored = frames.tobytes() + b"\0" * (frames.size % 2)
    if kind == "OW":
        stored = np.frombuffer(stored, "<u2").astype(">u2").tobytes()
    tags: dict[str, Any] = {**FULL_WINDOW, "NumberOfFrames": shape[0]}
    if len(shape) == 4:
        tags |= {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    data = make_dicom(frames[0], ExplicitVRBigEndian, stored, **tags)
    data = data.replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10" + kind.encode())
    for index, frame in enumerate(frames):
        image = decode_image(data, frame=index + 1).image
        assert np.array_equal(image, frame if frame.ndim == 3 else repeat(frame))
        assert np.array_equal(pixel_array(pydicom.dcmread(io.BytesIO(data)), index=index), frame)


def test_what_holds_no_image_is_not_called_small():
    spectrum = make_dataset()
    del spectrum.SamplesPerPixel, spectrum.BitsAllocated, spectrum.PhotometricInterpretation
    spectrum.Rows, spectrum.Columns, spectrum.SpectroscopyData = 1, 1, bytes(8)
    for data in (write_dataset(spectrum, ExplicitVRLittleEndian), make_dicom(GREY, Rows=None)):
        with pytest.raises(UnsupportedPixelsError, match="no image"):
            decode_image(data)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_a_compressed_frame_of_another_size_is_refused_before_it_is_decoded(name):
    syntax, frame = encode_frames(GREY.repeat(2, 0))[name]
    with pytest.raises(TruncatedImageError, match="compressed frame"):
        decode_image(make_dicom(GREY, syntax, encapsulate([frame])))


def test_a_file_that_ends_before_its_pixels_is_damaged():
    whole = make_dicom(GREY)
    for length in range(whole.index(b"MONOCHROME2") - 7, whole.index(b"\xe0\x7f\x10\0") + 8, 3):
        with pytest.raises(TruncatedImageError):
            decode_image(whole[:length])


def test_compressed_pixels_without_a_transfer_syntax_are_not_guessed():
    syntax, frame = encode_frames(GREY)["jpeg-2000"]
    whole = make_dicom(GREY, syntax, encapsulate([frame]))
    with pytest.raises(UnsupportedPixelsError, match="transfer syntax"):
        decode_image(whole[144 + int.from_bytes(whole[140:144], "little") :])


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("name", ["rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_compressed_data_that_end_early_are_damage_whatever_follows(name, part):
    syntax, frame = encode_frames(GREY)[name]
    for end in (b"", b"\xff\xd9", b"\0\0"):
        with pytest.raises(TruncatedImageError):
            decode_image(make_dicom(GREY, syntax, encapsulate([frame[: int(len(frame) * part)] + end])))


@pytest.mark.parametrize("num_bits", [8, 12, 16])
@pytest.mark.parametrize("change", ["whole", "padded", "open", "zero", "three zeros"])
def test_jpeg_ls_is_read_however_it_ends(num_bits, change):
    stored = GREY.astype(np.uint16) << (num_bits - 8)
    for bottom in range(3):  # of which one leaves a zero at the end of the data
        stored[-1, -1] = bottom
        data = bytes(jpeg_ls.encode_array(stored.astype(np.uint8) if num_bits == 8 else stored))
        body = data.removesuffix(b"\xff\xd9")
        frame = {
            "whole": data,
            "padded": data + b"\0",
            "open": body,
            "zero": body + b"\0\xff\xd9",
            "three zeros": body + b"\0\0\0\xff\xd9\0",
        }[change]
        tags = {"WindowCenter": float(1 << (num_bits - 1)), "WindowWidth": float(1 << num_bits), "BitsStored": num_bits}
        scan = make_dicom(stored, JPEGLSLossless, encapsulate([frame]), **tags)
        levels = np.rint(stored * (255 / ((1 << num_bits) - 1)))
        assert np.abs(decode_image(scan).image.astype(int) - repeat(levels)).max() <= 1


def test_bytes_of_jpeg_ls_that_look_like_markers_are_none(monkeypatch):
    monkeypatch.setattr("model.images.structure.MAX_SEGMENTS", 8)
    noise = np.random.default_rng(0).integers(0, 2**16, (512, 512), np.uint16)
    data = bytes(jpeg_ls.encode_array(noise))
    assert len(re.findall(rb"\xff[\1-\x7f]", data)) > 100
    assert decode_image(make_dicom(noise, JPEGLSLossless, encapsulate([data]))).image.shape == (512, 512, 3)


def test_jpeg_ls_that_ends_early_is_refused():
    data = bytes(jpeg_ls.encode_array(GREY))
    for length in range(40, len(data) - 4, 97):
        with pytest.raises(TruncatedImageError):
            decode_image(make_dicom(GREY, JPEGLSLossless, encapsulate([data[:length]])))


@pytest.mark.parametrize("name", ["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize("other", ["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_the_data_say_which_jpeg_they_are_where_the_file_names_another(name, other):
    (_, frame), (syntax, _) = encode_frames(GREY)[name], encode_frames(GREY)[other]
    image = decode_image(make_dicom(GREY, syntax, encapsulate([frame]), **FULL_WINDOW)).image
    assert np.abs(image.astype(int) - repeat(GREY)).max() <= (4 if name == "jpeg" else 0)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC5, 0xC9, 0xCA])
def test_jpeg_of_a_kind_that_is_not_read_is_named(marker):
    syntax, frame = encode_frames(GREY)["jpeg"]
    start = frame.index(b"\xff\xc0")
    other = frame[:start] + bytes((0xFF, marker)) + frame[start + 2 : start + 4] + b"\x0c" + frame[start + 5 :]
    with pytest.raises(UnsupportedPixelsError, match="another kind"):
        decode_image(make_dicom(GREY.astype(np.uint16), syntax, encapsulate([other])))


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
