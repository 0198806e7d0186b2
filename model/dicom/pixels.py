"""One frame of a DICOM file as stored values: the transfer syntaxes, and bounds on the input of codecs.

A codec allocates memory by the header of the compressed frame. Its size has to equal that of the DICOM header, which
the bound on pixels was checked against.
"""

import io
import struct
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.uid as uids
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from model.dicom.jpeg_2000 import decode_grey, read_codestream
from model.dicom.jpeg_lossless import decode_jpeg_lossless
from model.dicom.pixel_layout import COLORS, GREY, PALETTE, PixelLayout
from model.errors import TruncatedImageError, UnsupportedPixelsError
from model.images.jpeg import DICOM_MARKERS, load_jpeg, walk_segments
from model.images.structure import MAX_SEGMENTS, check_structure

_UNCOMPRESSED = (
    *(uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian),
    *(uids.ExplicitVRBigEndian, uids.DeflatedExplicitVRLittleEndian),
)
SUPPORTED = (
    *(*_UNCOMPRESSED, uids.RLELossless, uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit),
    *(uids.JPEGLossless, uids.JPEGLosslessSV1, uids.JPEGLSLossless, uids.JPEGLSNearLossless),
    *(uids.JPEG2000Lossless, uids.JPEG2000),
)
# No other codec that may be installed: GDCM's end the process on damaged data.
_PLUGINS = {uids.JPEGBaseline8Bit: "pillow", uids.JPEG2000Lossless: "pillow", uids.JPEGLSLossless: "pyjpegls"}

_JPEG = b"\xff\xd8"
_DCT, _LOSSLESS, _JPEG_LS_FRAME = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA), 0xC3, 0xF7  # markers of frames
_STARTS_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # T.81, table B.1; 0xF7 is JPEG-LS
_END_OF_IMAGE = b"\xff\xd9"
_MAX_ZEROS = 3
_RLE_HEADER_BYTES = 64


def decode_frame(dataset: Dataset, syntax: UID, layout: PixelLayout, index: int) -> npt.NDArray[Any]:
    """Decode one frame; the others are not touched.

    Args:
        index: From 0.

    Returns:
        Stored values within `bits_stored` and the sign, (H, W); or RGB, (H, W, 3) uint8.

    Raises:
        UnsupportedPixelsError: If the transfer syntax or the layout is not read.
        TruncatedImageError: If the data end early or contradict the header.
    """
    _check_supported(syntax, layout)
    data = dataset.get("PixelData")
    if not data:
        raise TruncatedImageError("The DICOM file holds no pixel data; send an image.")
    if syntax in _UNCOMPRESSED:
        is_words = layout.bits_allocated == 16 or dataset["PixelData"].VR == "OW"
        is_swapped = syntax == uids.ExplicitVRBigEndian and is_words
        values = _slice_frame(data, is_swapped, layout, index)
    else:
        offsets = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
        extended = offsets if all(offsets) else None
        frame = get_frame(data, index, number_of_frames=layout.num_frames, extended_offsets=extended)
        values = _decode_compressed(frame, syntax, layout)
    if values.shape[:2] != (layout.height, layout.width) or (values.ndim == 3) != (layout.num_samples == 3):
        raise TruncatedImageError("The pixel data and the DICOM header differ in size; send the complete file.")
    return values if layout.num_samples == 3 else _stored_bits(values, layout)


def _check_supported(syntax: UID, layout: PixelLayout) -> None:
    if syntax not in SUPPORTED:
        raise UnsupportedPixelsError(f"The transfer syntax {_name(syntax)} is not read; send the image uncompressed.")
    expected = 1 if layout.photometric in (*GREY, PALETTE) else 3
    if layout.photometric not in (*GREY, PALETTE, *COLORS) or layout.num_samples != expected:
        raise UnsupportedPixelsError("Expected grey, palette, RGB or YBR pixels; the header names no such ones.")
    depths = (8, 16) if expected == 1 else (8,)
    if layout.bits_allocated not in depths:
        raise UnsupportedPixelsError("Expected 8 or 16 bits a sample, or 8 bits of each colour; found another depth.")
    if not layout.high_bit + 1 >= layout.bits_stored >= 1 or layout.high_bit >= layout.bits_allocated:
        raise TruncatedImageError("The DICOM header contradicts itself about the bits of a sample.")


def _name(syntax: UID) -> str:
    return f"{syntax.name} ({syntax})" if syntax.name != str(syntax) else "of the file, which is not a known one,"


def _slice_frame(data: bytes, is_swapped: bool, layout: PixelLayout, index: int) -> npt.NDArray[Any]:
    """Slice a frame out of uncompressed pixel data.

    Args:
        is_swapped: If they are words of two bytes, the high one first; of two pixels of 8 bits the second.
    """
    start = index * layout.num_frame_bytes
    end = start + layout.num_frame_bytes
    words = data[start // 2 * 2 : -(-end // 2) * 2]
    if is_swapped:
        words = np.frombuffer(words, ">u2").astype("<u2").tobytes()
    frame = words[start % 2 :][: end - start]
    if len(frame) < end - start:
        raise TruncatedImageError("The pixel data end early; send the complete file.")
    if layout.num_samples == 3:
        return _decode_with_pydicom(frame, uids.ExplicitVRLittleEndian, layout)
    return np.frombuffer(frame, f"<u{layout.bits_allocated // 8}").reshape(layout.height, layout.width)


def _decode_compressed(frame: bytes, syntax: UID, layout: PixelLayout) -> npt.NDArray[Any]:
    """Decode a frame; of the kinds of JPEG the data say which it is, as some files name another."""
    if syntax == uids.RLELossless:
        return _decode_rle(frame, layout)
    if not frame.startswith(_JPEG):
        stream = read_codestream(frame)
        _check_frame(stream.shape, stream.precision, layout)
        if layout.num_samples == 1:
            return decode_grey(stream, layout.is_signed)
        return _decode_with_pydicom(encapsulate([stream.data]), uids.JPEG2000Lossless, layout)
    process, precision = _read_process(frame, layout)
    if process == _LOSSLESS:
        values = decode_jpeg_lossless(frame)
        return _convert_to_rgb(values.astype(np.uint8), layout) if layout.num_samples == 3 else values[:, :, 0]
    if process == _JPEG_LS_FRAME:
        return _decode_jpeg_ls(frame, layout)
    if process not in _DCT or precision != 8:
        raise UnsupportedPixelsError(
            "Expected JPEG of 8 bits a sample, lossless JPEG or JPEG-LS; the frame is JPEG of another kind."
        )
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as picture:
        load_jpeg(picture, frame)  # refuses data that end early, which the codec alone does not
    return _decode_with_pydicom(encapsulate([frame]), uids.JPEGBaseline8Bit, layout)


def _decode_jpeg_ls(frame: bytes, layout: PixelLayout) -> npt.NDArray[Any]:
    """Decode a frame whose end may be missing, or be behind zeros that some encoders add and CharLS does not read.

    The first zeros may be data: https://github.com/team-charls/charls/issues/437
    """
    data = frame.rstrip(b"\0").removesuffix(_END_OF_IMAGE)
    bare = data.rstrip(b"\0")
    tries = [data, *(bare + bytes(num_zeros) for num_zeros in range(min(_MAX_ZEROS, len(data) - len(bare))))]
    *others, last = (encapsulate([coded + _END_OF_IMAGE]) for coded in tries)
    for data in others:
        with suppress(RuntimeError):
            return _decode_with_pydicom(data, uids.JPEGLSLossless, layout)
    return _decode_with_pydicom(last, uids.JPEGLSLossless, layout)


def _decode_with_pydicom(data: bytes, syntax: UID, layout: PixelLayout) -> npt.NDArray[Any]:
    """Decode a single frame with the codec of `_PLUGINS`; colours come back as RGB."""
    options: dict[str, Any] = {
        "index": 0,
        "rows": layout.height,
        "columns": layout.width,
        "number_of_frames": 1,
        "samples_per_pixel": layout.num_samples,
        "photometric_interpretation": layout.photometric,
        "pixel_representation": int(layout.is_signed),
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "planar_configuration": int(layout.is_planar),
        "pixel_keyword": "PixelData",
        "decoding_plugin": _PLUGINS.get(syntax, ""),
        "pixel_vr": "OB" if layout.bits_allocated == 8 else "OW",
    }
    values: npt.NDArray[Any]
    values, _ = get_decoder(syntax).as_array(data, **options)
    return values


def _decode_rle(frame: bytes, layout: PixelLayout) -> npt.NDArray[Any]:
    """Decode PackBits segments, one for each byte of each sample, the highest first; PS3.5 annex G.

    Pillow's decoder stops at the expected number of bytes.
    """
    num_bytes = layout.bits_allocated // 8
    num_segments, *offsets = struct.unpack_from("<16I", frame)
    if num_segments != num_bytes * layout.num_samples:
        raise TruncatedImageError("The run-length encoded data contradict the DICOM header.")
    ends = [*offsets[1:num_segments], len(frame)]
    size = (layout.height * layout.width, 1)
    planes = []
    for start, end in zip(offsets[:num_segments], ends, strict=True):
        if not _RLE_HEADER_BYTES <= start < end <= len(frame):
            raise TruncatedImageError("The run-length encoded data are damaged; send the complete file.")
        picture = Image.frombytes("L", size, frame[start:end], "packbits", "L")
        planes.append(np.asarray(picture).reshape(layout.height, layout.width))
    if layout.num_samples == 3:
        return _convert_to_rgb(np.stack(planes, axis=2), layout)
    return planes[0] if num_bytes == 1 else planes[0].astype(np.uint16) << 8 | planes[1]


def _convert_to_rgb(image: npt.NDArray[np.uint8], layout: PixelLayout) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image, "YCbCr").convert("RGB")) if layout.photometric[0] == "Y" else image


def _stored_bits(values: npt.NDArray[Any], layout: PixelLayout) -> npt.NDArray[Any]:
    """Extract the stored bits; the others may hold anything, such as overlays."""
    unsigned = np.ascontiguousarray(values).view(f"{values.dtype.byteorder}u{values.dtype.itemsize}")
    shift, mask = layout.high_bit + 1 - layout.bits_stored, (1 << layout.bits_stored) - 1
    unsigned = (unsigned.astype(np.uint16) >> shift) & np.uint16(mask)
    if not layout.is_signed:
        return unsigned
    unused = np.int16(16 - layout.bits_stored)
    return (unsigned << unused.astype(np.uint16)).view(np.int16) >> unused


def _read_process(frame: bytes, layout: PixelLayout) -> tuple[int, int]:
    """Read the kind of a JPEG, by the marker of its frame, and the bits of a sample."""
    for segment in islice(walk_segments(frame, DICOM_MARKERS), MAX_SEGMENTS):
        if segment.marker in _STARTS_OF_FRAME:
            precision, *shape = struct.unpack_from(">BHHB", frame, segment.start)
            _check_frame(tuple(shape), precision, layout)
            if segment.marker != _JPEG_LS_FRAME:  # whose data hold 0xFF with 0x00 to 0x7F behind it
                check_structure(frame)
            return segment.marker, precision
    raise TruncatedImageError("The compressed frame has no header; send the complete file.")


def _check_frame(shape: tuple[int, ...], precision: int, layout: PixelLayout) -> None:
    if shape != (layout.height, layout.width, layout.num_samples):
        raise TruncatedImageError("The compressed frame and the DICOM header differ in size; send the complete file.")
    if precision > layout.bits_allocated:
        raise TruncatedImageError("The compressed frame has more bits a sample than the DICOM header says.")
