"""Image files, read by several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from model.decoding import decode_image
from model.errors import InputError
from model.host.progress import Progress
from model.images.decoded import DecodedImage
from model.scan_files import read_file
from training.errors import ImageFileError

NUM_THREADS = 4  # Pillow decodes outside the interpreter's lock
Item = TypeVar("Item")
Result = TypeVar("Result")


def read_in_threads(read: Callable[[Item], Result], items: Sequence[Item], title: str, unit: str) -> list[Result]:
    """Read items, in their order, behind a progress bar."""
    pool = ThreadPoolExecutor(NUM_THREADS)
    try:
        return list(Progress(pool.map(read, items), title, len(items), unit=unit, leave=False))
    finally:
        pool.shutdown(cancel_futures=True)  # or who stops a command would wait for all items


def read_image(path: Path, *, grey: bool = False) -> DecodedImage:
    """Decode a file.

    Args:
        grey: Brightness suffices; see `model.images.raster.RasterImage.decode`.

    Raises:
        ImageFileError: If it cannot be read, or is no image that can be used.
    """
    try:
        return decode_image(read_file(path), grey=grey)
    except InputError as error:
        raise ImageFileError(path, str(error)) from error
    except OSError as error:
        raise ImageFileError(path, error.strerror or "cannot be read") from error
