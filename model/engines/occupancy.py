"""Counts the images in progress, since a single one may use all cores."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Occupancy:
    """Counts images in the engine, and knows the number in the whole process."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._num_running = 0
        self._num_expected = 0

    def expect(self, num_images: int) -> None:
        """Set the number of images in the queue or in progress, decoding and drawing included."""
        self._num_expected = num_images

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """Count one more image during the block; yield True if it is the only one.

        Images that are decoded, drawn or waiting count too: they need a core before this one is done.
        """
        with self._lock:
            self._num_running += 1
            alone = self._num_running == 1 and self._num_expected <= 1
        try:
            yield alone
        finally:
            with self._lock:
                self._num_running -= 1
