"""Giving memory back: an image of many pixels takes hundreds of megabytes for a second."""

import gc

from model.host.allocator import MMAP_THRESHOLD, TRIM_THRESHOLD, set_allocator_options

_BLOCK_BYTES = 4 * 2**20  # more than ordinary scans need at once, which are not to be mapped and zeroed anew each time


def return_freed_memory() -> bool:
    """Tell the C library to give large blocks back to the system when they are freed; for the whole process.

    By itself glibc keeps what it has seen freed once, up to 32 MB a block: after two 16-megapixel images a service of
    150 MB stayed at 294 MB, and with this at 148 MB.

    Returns:
        Whether the C library is one that can be told (glibc).
    """
    return set_allocator_options({MMAP_THRESHOLD: _BLOCK_BYTES, TRIM_THRESHOLD: _BLOCK_BYTES})


def keep_loaded_objects() -> None:
    """Let the garbage collector pass over all that exists now: modules, routes, the model.

    They stay as long as the process, and looking through them again and again took 8 % of the event loop's time.
    """
    gc.collect()
    gc.freeze()
