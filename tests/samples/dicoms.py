"""DICOM files for tests, with their expected pixels or errors."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.config
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from model.errors import ImageTooLargeError, ImageTooSmallError, TruncatedImageError, UnsupportedPixelsError
from tests.samples.corpus import GREY, HEIGHT, RGB, SEED, WIDTH, Case, repeat
from tests.samples.phantoms import encode

FULL_WINDOW: dict[str, Any] = {"WindowCenter": 128.0, "WindowWidth": 256.0}  # leaves 8-bit values as they are
PATIENT = "Secret^Jane"
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"


def make_dicom(
    stored: npt.NDArray[Any] | bytes, syntax: UID = ExplicitVRLittleEndian, raw: bytes | None = None, **tags: Any
) -> bytes:
    """Write a file; `raw` is the pixel data where they are not simply `stored`. Tags of None are left out."""
    shape: tuple[int, ...] = (HEIGHT, WIDTH)
    scan = make_dataset(syntax)
    if isinstance(stored, np.ndarray):
        shape, kind = stored.shape, stored.dtype
        scan.BitsAllocated = scan.BitsStored = kind.itemsize * 8
        scan.PixelRepresentation = int(kind.kind == "i")
        stored = stored.astype(kind.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    scan.Rows, scan.Columns = shape[:2]
    for name, value in tags.items():
        if value is None:
            scan.pop(name, None)
        else:
            setattr(scan, name, value)
    scan.HighBit = tags.get("HighBit", scan.BitsStored - 1)
    scan.PixelData = stored if raw is None else raw
    scan["PixelData"].VR = "OB" if scan.BitsAllocated == 8 else "OW"
    scan["PixelData"].is_undefined_length = syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian
    return write_dataset(scan, syntax)


def make_dataset(syntax: UID = ExplicitVRLittleEndian) -> FileDataset:
    """A data set of an MR image without pixels that gives no reason for a warning."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid(entropy_srcs=["scan"])
    meta.TransferSyntaxUID = syntax
    scan = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    scan.Modality, scan.PhotometricInterpretation, scan.PatientName = "MR", "MONOCHROME2", PATIENT
    scan.SamplesPerPixel, scan.PixelRepresentation, scan.BitsAllocated, scan.BitsStored = 1, 0, 8, 8
    scan.BodyPartExamined, scan.ContrastBolusAgent, scan.EchoTime = "BRAIN", "GADOVIST", 8.0
    scan.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    return scan


def write_dataset(scan: Dataset, syntax: UID) -> bytes:
    buffer = io.BytesIO()
    is_implicit, is_little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(buffer, scan, implicit_vr=is_implicit, little_endian=is_little, enforce_file_format=True)
    return buffer.getvalue()


def make_study(image: npt.NDArray[Any], number: int = 1, **tags: Any) -> bytes:
    """An MR image, (H, W), of a study of its own, with all that its module asks for."""
    study = {
        **{"StudyInstanceUID": "1.2.826.0.1.9", "SeriesInstanceUID": "1.2.826.0.1.9.1"},
        **{"SOPClassUID": MRImageStorage, "SOPInstanceUID": f"1.2.826.0.1.9.1.{number}", "InstanceNumber": number},
        **{"PatientID": "4711", "PatientBirthDate": "19500101", "PatientSex": "F", "StudyID": "7"},
        **{"StudyDate": "20260102", "StudyTime": "030405", "AccessionNumber": "A1", "ReferringPhysicianName": "Doe^J"},
        **{"SeriesNumber": 3, "FrameOfReferenceUID": "1.2.826.0.1.9.2", "StudyDescription": "Head"},
        **{"ImagePositionPatient": [0, 0, number], "PixelSpacing": [1, 1], "SliceThickness": 1},
    }
    with pydicom.config.disable_value_validation():
        return make_dicom(image, **{**FULL_WINDOW, **study, **tags})


def bundled_files() -> dict[str, bytes]:
    """The Part 10 files that come with pydicom."""
    files = {path.relative_to(BUNDLED).as_posix(): path.read_bytes() for path in BUNDLED.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if data[128:132] == b"DICM"}


def encode_rle(planes: list[bytes]) -> bytes:
    """PackBits, literal runs only; PS3.5 annex G."""
    segments = []
    for plane in planes:
        runs = [plane[start : start + 128] for start in range(0, len(plane), 128)]
        coded = b"".join(bytes((len(run) - 1,)) + run for run in runs)
        segments.append(coded + b"\x80" * (len(coded) % 2))
    starts = np.cumsum([64, *(len(segment) for segment in segments[:-1])]).tolist()
    return struct.pack("<16I", len(planes), *starts, *[0] * (15 - len(planes))) + b"".join(segments)


def encode_lossless(values: npt.NDArray[Any], precision: int, predictor: int = 1, transform: int = 0) -> bytes:
    """Lossless JPEG with one code of 5 bits for each of the 17 categories; written from ITU-T T.81, annex H."""
    planes = values[:, :, None].astype(int) if values.ndim == 2 else values.astype(int)
    height, width, num_components = planes.shape
    bits = []
    for row in range(height):
        for column in range(width):
            for component in range(num_components):
                plane = planes[:, :, component] >> transform
                guess = _predict(plane, row, column, predictor, 1 << (precision - transform - 1))
                bits.append(_code((int(plane[row, column]) - guess) & 0xFFFF))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    coded = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    parts = b"".join(bytes((index + 1, 0x11, 0)) for index in range(num_components))
    frame = struct.pack(">BHHB", precision, height, width, num_components) + parts
    codes = b"\0" + bytes((0, 0, 0, 0, 17)) + bytes(11) + bytes(range(17))
    scan = bytes((num_components,)) + b"".join(bytes((index + 1, 0)) for index in range(num_components))
    scan += bytes((predictor, 0, transform))
    segments = ((0xC3, frame), (0xC4, codes), (0xDA, scan))
    head = b"".join(bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    data = b"\xff\xd8" + head + coded + b"\xff\xd9"
    return data + b"\0" * (len(data) % 2)


def _predict(plane: npt.NDArray[Any], row: int, column: int, predictor: int, first: int) -> int:
    if row == 0 and column == 0:
        return first
    left, above = int(plane[row, column - 1]), int(plane[row - 1, column])
    if row == 0 or column == 0:
        return left if row == 0 else above
    corner = int(plane[row - 1, column - 1])
    return (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )[predictor - 1]


def _code(difference: int) -> str:
    if difference == 32768:
        return f"{16:05b}"
    signed = difference - 65536 if difference > 32768 else difference
    category = abs(signed).bit_length()
    value = signed if signed > 0 else signed + (1 << category) - 1
    return f"{category:05b}" + (f"{value:0{category}b}" if category else "")


def dicom_cases() -> Iterator[Case]:
    """Files to be read correctly, files to be refused, and files made to cost minutes or gigabytes."""
    yield from _syntax_cases()
    yield from _refused_cases()
    yield from _bomb_cases()
    for name, data in bundled_files().items():
        yield Case(f"dicom/bundled-{name}", data)


def dicom_samples() -> dict[str, bytes]:
    """A file of each kind; also the seeds of fuzzing."""
    return {case.name: case.data for case in _syntax_cases()}


def _syntax_cases() -> Iterator[Case]:
    expected = repeat(GREY)
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    for syntax in plain:
        name = syntax.name.replace(" ", "-").lower()
        yield Case(f"dicom/{name}", make_dicom(GREY, syntax, **FULL_WINDOW), expected)
        yield Case(f"dicom/{name}-16", make_dicom(GREY.astype(np.uint16), syntax, **FULL_WINDOW), expected)
        signed = GREY.astype(np.int16) - 100
        tags: dict[str, Any] = {**FULL_WINDOW, "RescaleSlope": 1, "RescaleIntercept": 100}
        yield Case(f"dicom/{name}-signed", make_dicom(signed, syntax, **tags), expected)
    color: dict[str, Any] = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    yield Case("dicom/rgb", make_dicom(RGB, **color), RGB)
    planes = RGB.transpose(2, 0, 1).tobytes()
    yield Case("dicom/rgb-planar", make_dicom(RGB, raw=planes, **{**color, "PlanarConfiguration": 1}), RGB)
    yield Case("dicom/monochrome-1", make_dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1"), None)
    table = GREY.astype(float)
    low, high = (float(np.percentile(table, part, method="inverted_cdf")) for part in (1, 99))
    stretched = np.rint(np.clip((table - low) / (high - low), 0, 1) * 255)
    yield Case("dicom/window", make_dicom(GREY, WindowCenter=1.0, WindowWidth=0.0), repeat(stretched), 4)
    for name, (syntax, frame) in encode_frames(GREY).items():
        data = make_dicom(GREY, syntax, encapsulate([frame]), **FULL_WINDOW)
        yield Case(f"dicom/{name}", data, expected, 4 if name == "jpeg" else 0)
    deep = GREY.astype(np.uint16) * 16
    tags = {"WindowCenter": 2048.0, "WindowWidth": 4096.0, "BitsStored": 12}
    rle = encapsulate([encode_rle([(deep >> 8).astype(np.uint8).tobytes(), (deep & 255).astype(np.uint8).tobytes()])])
    yield Case("dicom/rle-16", make_dicom(deep, RLELossless, rle, **tags), expected, 1)
    lossless = encapsulate([encode_lossless(deep, 12)])
    yield Case("dicom/jpeg-lossless-16", make_dicom(deep, JPEGLosslessSV1, lossless, **tags), expected, 1)


def encode_frames(grey: npt.NDArray[Any]) -> dict[str, tuple[UID, bytes]]:
    """A picture in every compression, with its transfer syntax."""
    picture = Image.fromarray(grey)
    return {
        "rle": (RLELossless, encode_rle([grey.tobytes()])),
        "jpeg-lossless": (JPEGLosslessSV1, encode_lossless(grey, 8)),
        "jpeg-2000": (JPEG2000Lossless, encode(picture, "JPEG2000", irreversible=False, no_jp2=True)),
        "jpeg-ls": (JPEGLSLossless, bytes(jpeg_ls.encode_array(np.ascontiguousarray(grey)))),
        "jpeg": (JPEGBaseline8Bit, encode(picture, "JPEG", quality=100)),
    }


def _refused_cases() -> Iterator[Case]:
    tiny = np.zeros((8, 8), np.uint8)
    yield Case("dicom/small", make_dicom(tiny), ImageTooSmallError)
    yield Case("dicom/no-pixels", make_dicom(GREY, raw=b""), TruncatedImageError)
    yield Case("dicom/cut", make_dicom(GREY)[:-100], TruncatedImageError)
    yield Case("dicom/no-rows", make_dicom(GREY, Rows=None), UnsupportedPixelsError)
    yield Case("dicom/no-bits", make_dicom(GREY, BitsAllocated=0), UnsupportedPixelsError)
    yield Case("dicom/bits", make_dicom(GREY, BitsStored=12), TruncatedImageError)
    yield Case("dicom/samples", make_dicom(GREY, SamplesPerPixel=3), UnsupportedPixelsError)
    yield Case(
        "dicom/mpeg", make_dicom(GREY, UID("1.2.840.10008.1.2.4.100"), encapsulate([b"ab"])), UnsupportedPixelsError
    )
    generator = np.random.default_rng(SEED)
    for name, data in dicom_samples().items():
        for part in range(1, 8):
            yield Case(f"{name}-cut-{part}", data[: len(data) * part // 8])
        for index in range(8):
            changed = np.frombuffer(data, np.uint8).copy()
            places = generator.integers(132, len(changed) if index % 2 else 1000, 4)
            changed[places] ^= (1 << generator.integers(0, 8, 4)).astype(np.uint8)
            yield Case(f"{name}-flip-{index}", changed.tobytes())


def _bomb_cases() -> Iterator[Case]:
    yield Case("dicom/rows-and-columns", make_dicom(b"", Rows=65_535, Columns=65_535), ImageTooLargeError)
    frames = make_dicom(GREY, NumberOfFrames=2_000_000_000)
    yield Case("dicom/frames", frames, TruncatedImageError)
    side = 4_096
    yield Case("dicom/largest", make_dicom(np.arange(side * side, dtype=np.uint16).reshape(side, side)), None)
    meta = make_dicom(GREY, DeflatedExplicitVRLittleEndian)
    head = meta[: _find_body(meta)]
    zeros = zlib.compressobj(9, wbits=-15)
    yield Case("dicom/deflated", head + zeros.compress(bytes(2**30)) + zeros.flush(), TruncatedImageError)
    plain = make_dicom(GREY)
    body = _find_body(plain)
    element = struct.pack("<HH2sH", 9, 0x10, b"LO", 0)
    yield Case("dicom/elements", plain[:body] + element * 2_500_000, TruncatedImageError)
    nested = struct.pack("<HH2sHIHHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    yield Case("dicom/nested", plain[:body] + nested * 500_000, TruncatedImageError)
    groups = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, 0xFFFFFFFF)
    items = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0xFFFFFFFF, 0xFFFE, 0xE00D, 0) * 1_200_000
    yield Case("dicom/items", plain[:body] + groups + items + plain[body:], TruncatedImageError)
    shared = struct.pack("<HH2sHI", 0x5200, 0x9229, b"SQ", 0, 2_500_000 * 8)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2_500_000
    yield Case("dicom/empty-items", plain + shared + item, TruncatedImageError)
    segments = np.tile(np.array([1, 1, 7], "<u2"), 3_000_000).tobytes()
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        palette[f"{color}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
        palette[f"Segmented{color}PaletteColorLookupTableData"] = b"\0\0\1\0\0\0" + segments
    yield Case("dicom/segments", make_dicom(GREY, **palette))
    stream = encode_frames(GREY)["jpeg-2000"][1]
    parts = stream[: stream.index(b"\xff\x90")] + struct.pack(">HHHIBBH", 0xFF90, 10, 0, 14, 0, 0, 0xFF93) * 100_000
    yield Case("dicom/parts", make_dicom(GREY, JPEG2000Lossless, encapsulate([parts])), TruncatedImageError)
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2_500_000
    head = make_dicom(GREY, RLELossless, encapsulate([b"ab"]))
    start = head.index(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)) + 12
    yield Case("dicom/fragments", head[:start] + fragments, TruncatedImageError)
    run = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 5_000_000
    yield Case("dicom/runs", make_dicom(GREY, RLELossless, encapsulate([run])), None)
    large = struct.pack(">BHHB", 16, side, side, 1) + b"\1\x11\0"
    scan = b"\1\1\0\1\0\0"
    lossless = b"\xff\xd8\xff\xc3" + struct.pack(">H", len(large) + 2) + large
    lossless += b"\xff\xda" + struct.pack(">H", len(scan) + 2) + scan + bytes(1000)
    tags = {"Rows": side, "Columns": side, "BitsAllocated": 16, "BitsStored": 16}
    yield Case("dicom/lossless", make_dicom(b"", JPEGLosslessSV1, encapsulate([lossless]), **tags), ImageTooLargeError)


def _find_body(data: bytes) -> int:
    """Where the meta information ends, which begins with its own length."""
    (length,) = struct.unpack_from("<I", data, 140)
    return int(144 + length)
