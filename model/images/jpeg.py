"""The segments of a JPEG file: ITU-T T.81, annex B."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageFile

from model.errors import UnsupportedPixelsError

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
_JPEG_LS = 0xF7
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), _JPEG_LS)
_ARITHMETIC = range(0xC9, 0xD0)
_UNREAD = (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)  # hierarchical ones, and lossless ones in arithmetic code
# Ones, of which no code consists: libjpeg reads up to 64 bits ahead, and finds hardly a pixel here.
_PADDING = b"\xff\0" * 8
# Markers that a length follows: as Pillow reads files, and as DICOM's codecs do, JPEG-LS included.
RASTER_MARKERS = re.compile(rb"\xff[^\x00\xff\xc8\xd0-\xd9\xf0-\xfd]")
DICOM_MARKERS = re.compile(rb"\xff[^\x00\xff\xd0-\xd8]")
_MARKERS_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # entropy-coded data hold escapes and restarts


@dataclass(frozen=True)
class Segment:
    """One segment.

    Attributes:
        start: Where its content begins, behind the length.
        end: Where its content ends, which may be beyond the data.
        num_fill_bytes: Bytes passed over before its marker.
    """

    marker: int
    start: int
    end: int
    num_fill_bytes: int


def walk_segments(data: bytes, markers: re.Pattern[bytes]) -> Iterator[Segment]:
    """Yield the segments behind the start of the image, and past a scan its end too; damage ends the walk early.

    Args:
        markers: `RASTER_MARKERS` or `DICOM_MARKERS`, by the codec that is to read the data.
    """
    position = 2
    while found := markers.search(data, position):
        marker, behind = data[found.end() - 1], found.end()
        end = behind + max(2, int.from_bytes(data[behind : behind + 2], "big"))
        yield Segment(marker, behind + 2, end, found.start() - position)
        position = end
        if marker == START_OF_SCAN:
            markers = _MARKERS_AFTER_SCAN


def check_frame(data: bytes) -> None:
    """Refuse a JPEG file that libjpeg does not read.

    Raises:
        UnsupportedPixelsError: If its frame is of another kind.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return
    frame = next((segment for segment in walk_segments(data, DICOM_MARKERS) if segment.marker in _FRAMES), None)
    head = data[frame.start : frame.start + 6] if frame else b""
    if frame is None or len(head) < 6:
        return
    depth, num_colors = head[0], head[5]
    if frame.marker == _JPEG_LS:
        raise UnsupportedPixelsError("JPEG-LS is read in DICOM files only; save the image as PNG.")
    if frame.marker in _UNREAD or depth != 8 or num_colors not in (1, 3, 4):
        kind = f"{depth} bits a sample and {num_colors} colours, in the coding of frame {frame.marker - 0xC0}"
        raise UnsupportedPixelsError(f"JPEG files of {kind}, are not read; save the image as PNG.")


def load_jpeg(picture: ImageFile.ImageFile, data: bytes) -> None:
    """Decode an opened JPEG file, and refuse one whose data end early.

    Where an end marker follows all the same, libjpeg paints the rest grey and says nothing. So the decoder gets the
    data of the last scan without what follows: it asks for more unless it has all pixels.

    Raises:
        OSError: If data are missing or damaged.
    """
    end, is_ended = _find_scan_end(data)
    if end is None:
        picture.load()
        return
    picture.load_prepare()
    (tile,) = picture.tile
    decoder = Image._getdecoder(picture.mode, tile.codec_name, tile.args, picture.decoderconfig)
    try:
        decoder.setimage(picture.im, tile.extents)
        # With all pixels of one scan it is done. With all scans it passes over more bytes until the end; else it waits.
        for piece in (data[:end] + _PADDING, b"\0", *([bytes((0xFF, END_OF_IMAGE))] if is_ended else [])):
            num_read, error = decoder.decode(piece)
            if num_read != len(piece):
                break
    finally:
        decoder.cleanup()
    if num_read >= 0 or error < 0:
        raise OSError("data are missing or damaged")
    picture.tile = []
    picture.load_end()


def _find_scan_end(data: bytes) -> tuple[int | None, bool]:
    """Find where the data of the last scan end, None if they are not in Huffman's code; and if the image has an end."""
    end, is_behind_scan = None, False
    for segment in walk_segments(data, RASTER_MARKERS):
        if segment.marker in _ARITHMETIC:
            break
        if is_behind_scan:
            end = segment.start - 4
        if segment.marker == END_OF_IMAGE:
            return end, True
        is_behind_scan = segment.marker == START_OF_SCAN
    return len(data) if is_behind_scan else None, False
