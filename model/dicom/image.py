"""DICOM images: MR, Enhanced MR and Secondary Capture, or whatever else has the Image Pixel module.

    bytes -> model.dicom.structure -> data set -> frame -> model.dicom.pixels -> model.dicom.grey -> RGB, 8 bit
                                                    |
                                                    model.dicom.acquisition (what does not fit)

Only the attributes named here are read: nothing that says who the patient is ever becomes an object.
Importing pydicom takes a quarter of a second, so `model.preprocessing` does it when it meets the first DICOM file.
"""

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from model.dicom.acquisition import describe_misfits
from model.dicom.grey import look_up, read_table, render_grey
from model.dicom.pixels import GREY, PALETTE, PixelLayout, decode_frame
from model.dicom.structure import split_dicom
from model.errors import (
    BlankImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    InputError,
    TruncatedImageError,
    UnknownFrameError,
    UnsupportedPixelsError,
)
from model.images.decoded import MIN_SIDE_PIXELS, DecodedImage, ImageArray

FORMAT = "DICOM"

_LAYOUT = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
_GREY = [
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
]
_COLORS = ("Red", "Green", "Blue")
_PALETTE = [f"{color}PaletteColorLookupTable{part}" for color in _COLORS for part in ("Descriptor", "Data")]
_ACQUISITION = [
    "Modality",
    "BodyPartExamined",
    "ImageOrientationPatient",
    "EchoTime",
    "AcquisitionContrast",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
]
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")  # what frames share comes first
# The groups of PS3.3 C.7.6.16.2 and C.8.13.5 that hold attributes of the above.
_FUNCTIONAL_GROUPS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PlaneOrientationSequence",
    "MREchoSequence",
    "MRImageFrameTypeSequence",
)
_WANTED = [*_LAYOUT, *_GREY, *_PALETTE, *_ACQUISITION, *_GROUPS]
_PASSED_ON = {*_GREY, *_ACQUISITION, "EffectiveEchoTime"}

# What pydicom and the codecs raise on damaged data, as read in their source and found by fuzzing.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    BytesLengthException,
    InvalidDicomError,
    Warning,  # where warnings are errors
)


@dataclass(frozen=True)
class DicomImage:
    """A frame of a file of which the header has been read.

    Attributes:
        index: Of the frame, from 0.
        notes: What was chosen for the sender.
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
        try:
            with np.errstate(all="ignore"):
                image, notes = self._render()
        except InputError:
            raise
        except DAMAGE as error:
            raise TruncatedImageError("The DICOM data end early or are damaged; send the complete file.") from error
        if int(image.min()) == int(image.max()):
            raise BlankImageError("All pixels have the same value: there is nothing to judge.")
        return DecodedImage(
            image, FORMAT, (*self.notes, *notes), frame=self.index + 1, num_frames=self.layout.num_frames
        )

    def _render(self) -> tuple[ImageArray, tuple[str, ...]]:
        frame = describe_frame(self.dataset, self.index)
        misfits = describe_misfits(frame)
        stored = decode_frame(self.dataset, self.transfer_syntax, self.layout, self.index)
        if self.layout.photometric == PALETTE:
            return _apply_palette(stored, self.dataset), misfits
        if self.layout.photometric not in GREY:
            return np.ascontiguousarray(stored, np.uint8), misfits
        grey, notes = render_grey(stored, frame, self.layout)
        return np.repeat(grey[:, :, None], 3, axis=2), (*notes, *misfits)


def open_dicom(data: bytes, max_image_pixels: int, frame: int | None = None) -> DicomImage:
    """Read the header of a DICOM file; no pixel is decoded.

    Args:
        data: A DICOM Part 10 file.
        max_image_pixels: Height times width that may be decoded.
        frame: Which of several frames, from 1; by default the middle one.

    Raises:
        TruncatedImageError: If the header is damaged, contradicts itself, or describes no image.
        ImageTooLargeError: If it announces more pixels than `max_image_pixels`.
        ImageTooSmallError: If a side has fewer than `MIN_SIDE_PIXELS` pixels.
        UnknownFrameError: If there is no such frame.
    """
    keep_quiet()
    file = split_dicom(data)
    try:
        tags = [Tag(keyword) for keyword in _WANTED]
        dataset = read_dataset(
            io.BytesIO(file.body), file.is_implicit, file.is_little_endian, None, None, None, specific_tags=[*tags]
        )
        layout = _read_layout(dataset)
    except InputError:
        raise
    except DAMAGE as error:
        raise TruncatedImageError("The DICOM header is damaged; send the complete file.") from error
    _check_size(layout, max_image_pixels)
    index, notes = _choose_frame(layout.num_frames, frame)
    return DicomImage(dataset, UID(file.transfer_syntax), layout, index, notes)


def describe_frame(dataset: Dataset, index: int) -> Dataset:
    """Collect the attributes that are valid for one frame, from the data set and its functional groups.

    Returns:
        Without sequences around them, those of the frame over those that all frames share; PS3.3 C.7.6.16.
    """
    frame = Dataset()
    _pass_on(dataset, frame)
    for keyword, place in zip(_GROUPS, (0, index), strict=True):
        groups = dataset.get(keyword) or ()
        if place < len(groups):
            for name in _FUNCTIONAL_GROUPS:
                for item in groups[place].get(name) or ():
                    _pass_on(item, frame)
    return frame


def _pass_on(source: Dataset, target: Dataset) -> None:
    for keyword in _PASSED_ON:
        if keyword in source:
            target[keyword] = source[keyword]


def keep_quiet() -> None:
    """Keep pydicom and highdicom from telling values of a header, to the log or as a warning."""
    for library in ("pydicom", "highdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=library)
    config.settings.reading_validation_mode = config.IGNORE


def _read_layout(dataset: Dataset) -> PixelLayout:
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UnsupportedPixelsError("The DICOM file holds no image; send one that does.")
    bits_allocated = int(dataset.get("BitsAllocated") or 0)
    bits_stored = int(dataset.get("BitsStored") or bits_allocated)
    return PixelLayout(
        height=int(dataset.Rows),
        width=int(dataset.Columns),
        num_frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
        num_samples=int(dataset.get("SamplesPerPixel") or 1),
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=int(dataset.get("HighBit") or bits_stored - 1),
        is_signed=bool(dataset.get("PixelRepresentation") or 0),
        is_planar=bool(dataset.get("PlanarConfiguration") or 0),
    )


def _check_size(layout: PixelLayout, max_image_pixels: int) -> None:
    size = f"{layout.width:,} x {layout.height:,}"
    if layout.width * layout.height > max_image_pixels:
        raise ImageTooLargeError(
            f"The image may have at most {max_image_pixels:,} pixels; send a smaller one (found {size})."
        )
    if min(layout.width, layout.height) < MIN_SIDE_PIXELS:
        raise ImageTooSmallError(f"Each side needs at least {MIN_SIDE_PIXELS} pixels; the image has {size}.")


def _choose_frame(num_frames: int, frame: int | None) -> tuple[int, tuple[str, ...]]:
    if frame is None:
        middle = (num_frames - 1) // 2
        note = f"the file holds {num_frames} frames; the middle one was used"
        return middle, (note,) if num_frames > 1 else ()
    if not 1 <= frame <= num_frames:
        raise UnknownFrameError(f"Expected a frame from 1 to {num_frames}; found {frame}.")
    return frame - 1, ()


def _apply_palette(stored: npt.NDArray[Any], dataset: Dataset) -> ImageArray:
    """Look colours up: PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""
    image = np.empty((*stored.shape, 3), np.uint8)
    for channel, color in enumerate(_COLORS):
        names = (f"{color}PaletteColorLookupTable{part}" for part in ("Descriptor", "Data"))
        entries, first, num_bits = read_table(dataset, bool((stored < 0).any()), *names)
        table = np.rint(entries * (255 / ((1 << num_bits) - 1)))
        image[..., channel] = np.clip(look_up(stored.astype(np.float64), table, first), 0, 255)
    return image
