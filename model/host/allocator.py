"""The C library's handling of freed memory."""

import ctypes
import ctypes.util
from collections.abc import Callable, Mapping

# From <malloc.h>
TRIM_THRESHOLD = -1
TOP_PAD = -2
MMAP_THRESHOLD = -3
MMAP_MAX = -4


def set_allocator_options(options: Mapping[int, int]) -> bool:
    """Set options of malloc, by their numbers, for the whole process; return True on glibc, which has them."""
    mallopt = _find("mallopt")
    return mallopt is not None and min(mallopt(option, value) for option, value in options.items()) == 1


def give_back_freed_memory() -> bool:
    """Return free memory to the system, even against the options; return True on glibc, which can."""
    trim = _find("malloc_trim")
    if trim is not None:
        trim(0)
    return trim is not None


def _find(name: str) -> Callable[..., int] | None:
    library = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(library), name, None) if library else None
