"""What the C library does with freed memory."""

import ctypes
import ctypes.util
from collections.abc import Callable, Mapping

# From <malloc.h>
TRIM_THRESHOLD = -1
TOP_PAD = -2
MMAP_THRESHOLD = -3
MMAP_MAX = -4


def set_allocator_options(options: Mapping[int, int]) -> bool:
    """Set options of malloc, by their numbers, for the whole process from now on.

    Returns:
        Whether the C library is one that takes them (glibc).
    """
    mallopt = _find("mallopt")
    if mallopt is None:
        return False
    accepted = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(accepted)


def give_back_freed_memory() -> bool:
    """Return to the system whatever lies free, even if the options say to keep it.

    Returns:
        Whether the C library is one that can (glibc).
    """
    trim = _find("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _find(name: str) -> Callable[..., int] | None:
    library = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(library), name, None) if library else None
