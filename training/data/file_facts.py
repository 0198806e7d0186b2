"""Facts of single image files: hashes, encoding, and a thumbnail."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from model.decoding import decode_opened, open_image
from model.errors import InputError
from model.images.decoded import ImageArray
from model.images.raster import RasterImage
from model.scan_files import read_file
from training.data.reading import read_in_threads

THUMBNAIL_SIZE = 32
_IJG_LUMINANCE_SUM = 3688  # of the example table in ISO/IEC 10918-1, K.1, which the IJG's library scales by quality


@dataclass(frozen=True)
class FileFacts:
    """Facts of a file that do not depend on its class.

    Attributes:
        sha256: Of the bytes; empty if they cannot be read.
        problem: Why the file is no usable image, else empty; the fields below are then empty.
        pixels: SHA-256 of size and pixels after decoding to grey.
        thumbnail: Grey, (32, 32) uint8, means over equal areas; the proportions are not kept.
        format: Of the bytes, such as JPEG.
        mode: Pillow's name of the stored channels, such as L, RGB or P; the format where it does not read the file.
        quality: Of a JPEG, 1 to 100 on the scale of the IJG's library; else 0.
    """

    sha256: str
    problem: str = ""
    pixels: str = ""
    thumbnail: ImageArray | None = None
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    quality: int = 0


def read_files(paths: Sequence[Path]) -> list[FileFacts]:
    """Read files in their order; none of them stops the others."""
    return read_in_threads(read_facts, paths, "reading", "file")


def read_facts(path: Path) -> FileFacts:
    """Read, hash and decode one file."""
    try:
        data = read_file(path)
    except OSError as error:
        return FileFacts("", error.strerror or "cannot be read")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        opened = open_image(data)
        picture = opened.source.picture if isinstance(opened.source, RasterImage) else None
        mode, quality = (picture.mode, estimate_quality(picture)) if picture else ("", 0)
        decoded = decode_opened(opened)
    except InputError as error:
        return FileFacts(sha256, str(error))
    grey = Image.fromarray(decoded.image).convert("L")
    return FileFacts(
        sha256=sha256,
        pixels=hashlib.sha256(repr(grey.size).encode() + grey.tobytes()).hexdigest(),
        thumbnail=np.asarray(grey.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX)),
        format=decoded.format,
        mode=mode or decoded.format,
        width=grey.width,
        height=grey.height,
        quality=quality,
    )


def estimate_quality(header: Image.Image) -> int:
    """Read the quality a JPEG was saved with from its first quantisation table, 1 to 100; 0 for other formats.

    The IJG's library (jcparam.c) scales the standard table by S = 5000 / Q percent below Q = 50, else 200 - 2 Q.
    (Below Q = 24 it cuts numbers off at 255, and what is read here is a little too high.)
    """
    if not isinstance(header, JpegImagePlugin.JpegImageFile) or not header.quantization:
        return 0
    scale = 100 * sum(next(iter(header.quantization.values()))) / _IJG_LUMINANCE_SUM
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return int(np.clip(round(quality), 1, 100))
