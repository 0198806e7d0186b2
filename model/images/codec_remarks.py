"""What codecs write to standard error by themselves, past every log: remarks on a damaged file that nobody can read.

libtiff does; each of its errors reaches us as an exception of Pillow as well.
"""

import ctypes
from pathlib import Path

import PIL.Image  # noqa: F401  # loads libtiff, if Pillow was built with it

_MAPS = Path("/proc/self/maps")  # of Linux: which libraries are loaded, and from where


def silence_codecs() -> bool:
    """Let libtiff say nothing, for the whole process.

    https://libtiff.gitlab.io/libtiff/functions/TIFFError.html

    Returns:
        Whether it was found and told.
    """
    libraries = [ctypes.CDLL(path) for path in _find_libraries("libtiff")]
    for library in libraries:
        for set_handler in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
    return bool(libraries)


def _find_libraries(name: str) -> set[str]:
    """Find the files of loaded libraries by the beginning of their names."""
    if not _MAPS.is_file():
        return set()
    paths = (line.split(maxsplit=5)[-1] for line in _MAPS.read_text().splitlines())
    return {path for path in paths if Path(path).name.startswith(name)}
