"""DICOM images: MR, Enhanced MR, Secondary Capture and any other object with the Image Pixel module.

    bytes -> model.dicom.structure -> data set -> frame -> model.dicom.pixels -> model.dicom.grey -> RGB, 8 bit
                                                    |                        -> model.dicom.palette ->
                                                    model.dicom.acquisition (warnings)

Only the attributes named here are read: nothing that identifies the patient ever becomes an object.
Importing pydicom takes a quarter of a second, so `model.decoding` does it for the first DICOM file only.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from model.dicom.acquisition import describe_misfits, find_kind
from model.dicom.grey import render_grey
from model.dicom.palette import ATTRIBUTES as PALETTE_ATTRIBUTES
from model.dicom.palette import apply_palette
from model.dicom.pixel_layout import GREY, PALETTE, PixelLayout
from model.dicom.pixels import decode_frame
from model.dicom.reading import DAMAGED_HEADER, read_attributes, read_item, refuse_dicom_damage
from model.dicom.structure import PIXEL_DATA, DicomFile, split_dicom
from model.errors import TruncatedImageError, UnknownFrameError, UnsupportedPixelsError
from model.images.decoded import DecodedImage, ImageArray, check_content, check_size, show_as_rgb

FORMAT = "DICOM"

_LAYOUT = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
_GREY = (
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
)
_ACQUISITION = (
    *("Modality", "BodyPartExamined", "ImageOrientationPatient"),
    *("EchoTime", "AcquisitionContrast", "ContrastBolusAgent", "ContrastBolusAgentSequence"),
)
_PIXELS = (PIXEL_DATA, Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
_SHARED_GROUPS, _GROUPS_OF_FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# The groups of PS3.3 C.7.6.16.2 and C.8.13.5 that hold attributes of the above.
_FUNCTIONAL_GROUPS = (
    *("PixelValueTransformationSequence", "FrameVOILUTSequence", "PlaneOrientationSequence"),
    *("MREchoSequence", "MRImageFrameTypeSequence"),
)
_TAGS = [
    *_LAYOUT,
    *_GREY,
    *PALETTE_ATTRIBUTES,
    *_ACQUISITION,
    _SHARED_GROUPS,
]
_OF_FRAMES = {*_GREY, *_ACQUISITION, "EffectiveEchoTime"}


@dataclass(frozen=True)
class DicomImage:
    """A frame of a file whose header has been read.

    Attributes:
        index: Of the frame, from 0.
        notes: Choices made for the sender.
    """

    dataset: Dataset
    transfer_syntax: UID
    layout: PixelLayout
    index: int
    notes: tuple[str, ...]

    @property
    def height(self) -> int:
        """Rows."""
        return self.layout.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.layout.width

    def decode(self) -> DecodedImage:
        """Decode the frame.

        Raises:
            TruncatedImageError: If the data end early or are damaged.
            UnsupportedPixelsError: If they are stored in a way that is not read.
            BlankImageError: If all pixels have the same value.
        """
        message = "The DICOM data end early or are damaged; send the complete file."
        with refuse_dicom_damage(message), np.errstate(all="ignore"):
            frame = describe_frame(self.dataset)
            image, notes = self._render(frame)
            kind = find_kind(frame)
        check_content(image)
        return DecodedImage(image, FORMAT, (*self.notes, *notes), self.index + 1, self.layout.num_frames, kind)

    def _render(self, frame: Dataset) -> tuple[ImageArray, tuple[str, ...]]:
        misfits = describe_misfits(frame)
        stored = decode_frame(self.dataset, self.transfer_syntax, self.layout, self.index)
        if self.layout.photometric == PALETTE:
            return apply_palette(stored, self.dataset), misfits
        if self.layout.photometric not in GREY:
            return np.ascontiguousarray(stored, np.uint8), misfits
        grey, notes = render_grey(stored, frame, self.layout)
        return show_as_rgb(grey), (*notes, *misfits)


def open_dicom(data: bytes, max_image_pixels: int, frame: int | None = None) -> DicomImage:
    """Read the header of a DICOM file; no pixel is decoded.

    Args:
        data: A DICOM file, with or without preamble.
        max_image_pixels: Height times width that may be decoded.
        frame: The frame, from 1; by default the middle one.

    Raises:
        TruncatedImageError: If the header is damaged or contradicts itself.
        UnsupportedPixelsError: If the file holds no image.
        ImageTooLargeError: If it announces more pixels than `max_image_pixels`.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
        UnknownFrameError: If there is no such frame.
    """
    file = split_dicom(data)
    dataset = read_attributes(file, _TAGS)
    _check_image(file, set(dataset.dir()))
    with refuse_dicom_damage(DAMAGED_HEADER):
        layout = _read_layout(dataset)
    check_size(layout.width, layout.height, max_image_pixels)
    index, notes = _choose_frame(layout.num_frames, frame)
    dataset.update(read_item(file, _GROUPS_OF_FRAMES, index))
    pixels = file.elements.get(PIXEL_DATA)
    if pixels is not None:
        dataset.add_new("PixelData", "OB" if pixels.kind == b"OB" else "OW", file.body[pixels.start : pixels.end])
    return DicomImage(dataset, UID(file.transfer_syntax), layout, index, notes)


def _check_image(file: DicomFile, keywords: set[str]) -> None:
    """Refuse a file that holds no image, or holds one no more."""
    holds_pixels = not file.elements.keys().isdisjoint(_PIXELS)
    if holds_pixels and {"Rows", "Columns"} <= keywords:
        return
    if not file.is_whole or (not holds_pixels and keywords & {"SamplesPerPixel", "BitsAllocated"}):
        raise TruncatedImageError("The DICOM file holds no pixel data; send the complete file of an image.")
    raise UnsupportedPixelsError("The DICOM file holds no image, as spectra, reports and plans do not; send an image.")


def describe_frame(dataset: Dataset) -> Dataset:
    """Collect the attributes of a frame from the data set and its functional groups, without their sequences.

    Attributes of the frame replace those that all frames share: PS3.3 C.7.6.16.

    Args:
        dataset: Of the groups of frames it holds those of this one alone.
    """
    frame = Dataset()
    _pass_on(dataset, frame)
    for keyword in (_SHARED_GROUPS, _GROUPS_OF_FRAMES):
        for groups in (dataset.get(keyword) or ())[:1]:
            for name in _FUNCTIONAL_GROUPS:
                for item in groups.get(name) or ():
                    _pass_on(item, frame)
    return frame


def _pass_on(source: Dataset, target: Dataset) -> None:
    for keyword in _OF_FRAMES:
        if keyword in source:
            target[keyword] = _read_element(source, keyword)


def _read_element(source: Dataset, keyword: str) -> DataElement:
    """Read an element; a value that is none of its kind stays bytes, which is as good as none."""
    stored = source.get_item(keyword)
    try:
        with refuse_dicom_damage(DAMAGED_HEADER):
            return source[keyword]
    except TruncatedImageError:
        return DataElement(Tag(keyword), "OB", stored.value)


def _read_layout(dataset: Dataset) -> PixelLayout:
    bits_allocated = int(dataset.get("BitsAllocated") or 0)
    bits_stored = int(dataset.get("BitsStored") or bits_allocated)
    return PixelLayout(
        height=int(dataset.Rows),
        width=int(dataset.Columns),
        num_frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
        num_samples=int(dataset.get("SamplesPerPixel") or 1),
        photometric=str(dataset.get("PhotometricInterpretation") or "").strip().upper(),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=int(dataset.get("HighBit") or bits_stored - 1),
        is_signed=bool(dataset.get("PixelRepresentation") or 0),
        is_planar=bool(dataset.get("PlanarConfiguration") or 0),
    )


def _choose_frame(num_frames: int, frame: int | None) -> tuple[int, tuple[str, ...]]:
    if frame is None:
        middle = (num_frames - 1) // 2
        note = f"the file holds {num_frames} frames; the middle one was used"
        return middle, (note,) if num_frames > 1 else ()
    if not 1 <= frame <= num_frames:
        raise UnknownFrameError(f"Expected a frame from 1 to {num_frames}; found {frame}.")
    return frame - 1, ()
