"""The strips and tiles of a TIFF file to samples: revision 6.0 (Adobe, 1992), and its technical note 3.

Pillow's own libtiff decompresses them, as an image of bytes; what the bytes mean is read here.
"""

import io
import itertools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from model.images.decoded import ImageArray
from model.images.samples import Samples, strips
from model.images.tiff_tags import BITS, COMPRESSION, LENGTH, PHOTOMETRIC, ROWS, SAMPLES, STRIP_BYTES, STRIPS, WIDTH

NO_COMPRESSION, PACK_BITS = 1, 32_773
BYTE_COMPRESSIONS = (NO_COMPRESSION, 5, 8, PACK_BITS, 32_946, 34_925, 50_000)  # LZW, deflate, LZMA, Zstandard
_DIFFERENCES, _DIFFERENCES_OF_BYTES = 2, 3  # predictors
_MAX_READINGS = 4  # of a byte: equal tiles may share their data
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class StripLayout:
    """How samples are stored.

    Attributes:
        size: Columns and rows of the image.
        block: Columns and rows of a strip or tile.
        is_tiled: Tiles are whole at the edges, the last strip is not.
        num_samples: Samples of a pixel that lie side by side.
        type: NumPy's, of a sample in the file; None if it is not of whole bytes.
        depth: Bits of a sample.
        is_reversed: If the lowest bit of a byte comes first.
    """

    size: tuple[int, int]
    block: tuple[int, int]
    is_tiled: bool
    num_samples: int
    type: np.dtype[np.generic] | None
    depth: int
    compression: int
    predictor: int
    is_reversed: bool

    @property
    def num_across(self) -> int:
        """Strips or tiles in a row."""
        return -(-self.size[0] // self.block[0])

    @property
    def num_blocks(self) -> int:
        """Strips or tiles of one plane."""
        return self.num_across * -(-self.size[1] // self.block[1])

    @property
    def num_rows(self) -> int:
        """Rows of all strips or tiles, one upon the other."""
        return self.num_blocks * self.block[1] if self.is_tiled else self.size[1]

    @property
    def row_bytes(self) -> int:
        """Bytes in a row of a strip or tile."""
        return -(-self.block[0] * self.num_samples * self.depth // 8)


def read_plane(data: bytes, places: list[tuple[int, int]], layout: StripLayout) -> Samples:
    """Read samples, (H, W, samples).

    Args:
        places: Where each strip or tile begins, and its number of bytes.

    Raises:
        ValueError: If data are missing or damaged.
    """
    values = _unpack(_decompress(data, places, layout), layout)
    if layout.is_tiled:
        across, (columns, rows) = layout.num_across, layout.block
        tiles = values.reshape(-1, across, rows, columns, layout.num_samples)
        values = tiles.swapaxes(1, 2).reshape(-1, across * columns, layout.num_samples)
    width, height = layout.size
    return values[:height, :width]


def _decompress(data: bytes, places: list[tuple[int, int]], layout: StripLayout) -> ImageArray:
    """Read the bytes of all strips or tiles, one upon the other, (rows, bytes)."""
    num_rows, row_bytes, block_rows = layout.num_rows, layout.row_bytes, layout.block[1]
    if layout.compression == NO_COMPRESSION:  # the number of bytes, which some writers leave out, says nothing more
        tops = range(0, num_rows, block_rows)
        sizes = [min(block_rows, num_rows - top) * row_bytes for top in tops]
    else:
        sizes = [min(size, len(data)) for _, size in places]
    if layout.compression != NO_COMPRESSION and sum(sizes) > _MAX_READINGS * len(data):
        raise ValueError("strips overlap")
    blocks = [data[start : start + size] for (start, _), size in zip(places, sizes, strict=True)]
    if layout.is_reversed:
        blocks = [block.translate(_REVERSED) for block in blocks]
    if layout.compression == NO_COMPRESSION:
        return np.frombuffer(b"".join(blocks), np.uint8).reshape(num_rows, row_bytes)
    file = _write_bytes_as_image(blocks, layout)
    picture = Image.frombytes("L", (row_bytes, num_rows), file, "libtiff", "L", False, 0)
    content: ImageArray = np.empty((num_rows, row_bytes), np.uint8)
    for rows in strips(num_rows, row_bytes):
        content[rows] = np.asarray(picture.crop((0, rows.start, row_bytes, rows.stop)))
    return content


def _write_bytes_as_image(blocks: list[bytes], layout: StripLayout) -> bytes:
    """Write a TIFF file of the same compressed strips in which each byte is a grey pixel."""
    directory = ImageFileDirectory_v2()
    sizes = tuple(len(block) for block in blocks)
    directory.update(
        {
            WIDTH: layout.row_bytes,
            LENGTH: layout.num_rows,
            BITS: 8,
            COMPRESSION: layout.compression,
            PHOTOMETRIC: 1,
            STRIPS: tuple(itertools.accumulate(sizes[:-1], initial=0)),  # Pillow adds where they begin
            SAMPLES: 1,
            ROWS: layout.block[1],
            STRIP_BYTES: sizes,
        }
    )
    file = io.BytesIO()
    directory.save(file)
    return b"".join([file.getvalue(), *blocks])


def _unpack(content: ImageArray, layout: StripLayout) -> Samples:
    """Read samples from rows of bytes: (rows, columns, samples)."""
    shape = (len(content), layout.block[0], layout.num_samples)
    if layout.type is None:
        return _unpack_bits(content, math.prod(shape[1:]), layout.depth).reshape(shape)
    if layout.predictor != 1:
        for rows in strips(*content.shape):
            _undo_predictor(content[rows], layout.predictor, layout.num_samples, layout.type)
    return content.view(layout.type).reshape(shape)


def _undo_predictor(content: ImageArray, predictor: int, num_samples: int, type_: np.dtype[np.generic]) -> None:
    """Sum up differences of samples, or of the bytes of real ones, of which the highest come first, in place."""
    num_rows, num_bytes = len(content), type_.itemsize
    if predictor == _DIFFERENCES:
        whole = content.view(f"{type_.str[0]}u{num_bytes}").reshape(num_rows, -1, num_samples)
        np.cumsum(whole, 1, f"u{num_bytes}", whole)
        return
    sums = np.cumsum(content.reshape(num_rows, -1, num_samples), 1, np.uint8)
    values = np.ascontiguousarray(sums.reshape(num_rows, num_bytes, -1).swapaxes(1, 2)).view(type_.newbyteorder(">"))
    content.view(type_)[:] = values[..., 0]


def _unpack_bits(content: ImageArray, num_values: int, depth: int) -> Samples:
    """Read unsigned values of `depth` bits, at most 16, the first in the highest bits: (rows, values)."""
    values = np.empty((len(content), num_values), np.uint8 if depth < 8 else np.uint16)
    weights = 1 << np.arange(depth - 1, -1, -1, dtype=np.uint16)
    for rows in strips(len(content), num_values):
        bits = np.unpackbits(content[rows], 1, num_values * depth)
        values[rows] = bits.reshape(-1, num_values, depth) @ weights
    return values
