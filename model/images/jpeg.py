"""The segments of a JPEG file: ITU-T T.81, annex B."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
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
