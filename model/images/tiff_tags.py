"""The tags of a TIFF file: TIFF, revision 6.0 (Adobe, 1992)."""

import io
from dataclasses import dataclass

from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

from model.images.damage import refuse_damage

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIPS, ORIENTATION = 256, 257, 258, 259, 262, 266, 273, 274
SAMPLES, ROWS, STRIP_BYTES, PLANAR, PREDICTOR, PALETTE, TILE_WIDTH = 277, 278, 279, 284, 317, 320, 322
TILE_LENGTH, TILES, TILE_BYTES, EXTRA, FORMAT, JPEG_TABLES = 323, 324, 325, 338, 339, 347


@dataclass(frozen=True)
class TiffTags:
    """The tags of the first image in a file."""

    data: bytes
    directory: ImageFileDirectory_v2

    def __contains__(self, tag: int) -> bool:
        """True if the file has the tag."""
        return tag in self.directory

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """Read the whole numbers of a tag.

        Raises:
            KeyError: If there are none, and no default.
            TypeError: If they are no whole numbers.
        """
        found = self.directory[tag] if tag in self or not default else default
        values = found if isinstance(found, tuple) else (found,)
        if not all(isinstance(value, int) and value >= 0 for value in values):
            raise TypeError(f"tag {tag} has no whole numbers")
        return values

    def number(self, tag: int, *default: int) -> int:
        """Read the first number of a tag."""
        return self.numbers(tag, *default)[0]

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where each strip or tile begins, and its number of bytes."""
        offsets = self.numbers(TILES if TILES in self else STRIPS)
        sizes = self.numbers(TILE_BYTES if TILE_BYTES in self else STRIP_BYTES, *[len(self.data)] * len(offsets))
        return list(zip(offsets, sizes, strict=False))

    @property
    def has_more_images(self) -> bool:
        """True if a directory other than this one follows."""
        return self.directory.next not in (0, self.directory.offset)


def is_tiff(data: bytes) -> bool:
    """True if the bytes begin a TIFF file."""
    return data.startswith(tuple(PREFIXES))


def read_tags(data: bytes) -> TiffTags:
    """Read the tags of the first image in a file.

    Raises:
        TruncatedImageError: If they are damaged.
    """
    with refuse_damage("The image header is damaged; send the complete file."):
        # Pillow recognises BigTIFF by the head of little-endian files; the order of the bytes is given beside it.
        head = b"II+\0" + data[4:16] if 43 in data[2:4] else b"II*\0" + data[4:8]
        directory = ImageFileDirectory_v2(head, data[:2])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        return TiffTags(data, directory)
