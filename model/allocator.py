"""What the C library does with freed memory."""

import ctypes
import ctypes.util
from collections.abc import Mapping

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
    library = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(library), "mallopt", None) if library else None
    if mallopt is None:
        return False
    accepted = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(accepted)
